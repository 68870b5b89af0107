"""The views of test-time augmentation against averages made by hand, and what the scored network looks like from outside."""

import copy

import pytest
import torch
from kit import COLOUR, DIGITS, images, parts
from torch import nn
from torch.nn import functional
from torchvision.transforms import v2

from cockpit.engine.device import Precision
from cockpit.engine.probes import layers_of
from cockpit.engine.scoring import score
from cockpit.engine.units import watch_activity
from cockpit.recipe import loads
from cockpit.tricks.resolution import ResolutionInEvaluation
from cockpit.tricks.tta import Tta


def network(channels=3):
    torch.manual_seed(0)
    head = nn.Linear(6, 10)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), head
    ).eval()


def scored(net, task=COLOUR, **knobs):
    return Tta(**knobs).plug(parts(net, task)).evaluate(net)


def padded(x, by):
    return functional.pad(x, (by,) * 4, mode="replicate")


def at(x, by, right, down):
    """The slice of the padded image that stands so many pixels right of and below the plain one."""
    height, width = x.shape[2:]
    return padded(x, by)[:, :, by + down : by + down + height, by + right : by + right + width]


def views_by_hand(x, views, by):
    cross = [at(x, by, *move) for move in ((by, 0), (-by, 0), (0, by), (0, -by))]
    if views == "flip":
        return [x, x.flip(3)]
    if views == "shift":
        return [x, *cross]
    if views == "flip_shift":
        return [x, *cross, x.flip(3), *(view.flip(3) for view in cross)]
    corners = v2.FiveCrop(x.shape[2:])(padded(x, by))
    return [corners[4], *corners[:4]]


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("weights", ["uniform", "identity_half"])
@pytest.mark.parametrize(("views", "shift"), [("flip", 1), ("shift", 2), ("flip_shift", 1), ("five_crop", 3)])
@torch.no_grad()
def test_the_answer_is_the_average_made_by_hand(views, shift, weights, average):
    net, x = network(), images(COLOUR).clean(torch.arange(8)).x
    looks = views_by_hand(x, views, shift)
    share = torch.ones(len(looks))
    if weights == "identity_half" and views != "flip":
        share[0] = 4
        if views == "flip_shift":
            share[5] = 4
        unmoved = share[share == 4].sum()
        assert unmoved / share.sum() == 0.5
    share = share / share.sum()
    answers = [net(view) for view in looks]
    got = scored(net, views=views, shift=shift, weights=weights, average=average)(x)
    if average == "logits":
        torch.testing.assert_close(got, sum(s * answer for s, answer in zip(share, answers, strict=True)))
    else:
        want = sum(s * answer.softmax(1) for s, answer in zip(share, answers, strict=True))
        torch.testing.assert_close(got.softmax(1), want)
        torch.testing.assert_close(got.exp(), want)
    assert not torch.allclose(got, answers[0])


@pytest.mark.parametrize(("views", "calls"), [("flip", 1), ("shift", 5), ("flip_shift", 5), ("five_crop", 5), ("augment", 4)])
@torch.no_grad()
def test_images_that_may_not_be_mirrored_are_not(views, calls):
    seen, net = [], network(1)
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = images(DIGITS).clean(torch.arange(4)).x
    scored(net, DIGITS, views=views, shift=1)(x)
    assert len(seen) == calls and torch.equal(seen[0], x)
    near = [at(x, 1, right, down) for right in (-1, 0, 1) for down in (-1, 0, 1)]
    if views != "augment":
        assert all(any(torch.equal(view, other) for other in near) for view in seen)


@torch.no_grad()
def test_random_views_are_the_same_in_every_run_and_for_every_image():
    seen, net = [], network()
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.rand(1, 3, 16, 16).expand(5, -1, -1, -1)
    for _ in range(2):
        torch.manual_seed(int(torch.randint(100, ())))
        scored(net, views="augment", n=6, shift=2)(x)
    assert len(seen) == 12 and torch.equal(seen[0], x)
    for first, second in zip(seen[:6], seen[6:], strict=True):
        assert torch.equal(first, second) and torch.equal(first, first[:1].expand_as(first))
    assert len({tuple(view[0].flatten().tolist()) for view in seen}) == 6


@torch.no_grad()
def test_random_views_are_small_parts_of_the_image():
    """The pixels of these images say where they stand."""
    line = torch.arange(16.0)
    x = torch.stack([line.view(1, -1).expand(16, 16), line.view(-1, 1).expand(16, 16), torch.zeros(16, 16)])[None]
    seen, net = [], network()
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    scored(net, views="augment", n=32, shift=2)(x)
    for view in seen[1:]:
        middle = view[0, :2, 7:9, 7:9].mean((1, 2)) - 7.5
        step = view[0, 0, 8, 9] - view[0, 0, 8, 8]
        assert (middle.abs() <= 2.001).all() and 0.899 < float(step) < 1.001


def test_a_checkpoint_of_the_scored_network_fits_the_plain_one():
    net = network()
    for twice in (scored(net), scored(scored(net, views="shift"), views="flip")):
        assert twice.state_dict().keys() == net.state_dict().keys()
        other = network()
        nn.init.zeros_(other[0].weight)
        other.load_state_dict(twice.state_dict())
        assert torch.equal(other[0].weight, net[0].weight)
        twice.load_state_dict({name: value + 1 for name, value in other.state_dict().items()})
        assert torch.equal(net[0].weight, other[0].weight + 1)
        assert [layer for layer, _ in layers_of(net)] == [layer for layer, _ in layers_of(twice)]


@torch.no_grad()
def test_a_copy_of_the_scored_network_has_weights_of_its_own():
    net, x = network(), torch.rand(4, 3, 16, 16)
    twin = copy.deepcopy(scored(net))
    before = twin(x)
    nn.init.zeros_(net[6].weight)
    assert torch.equal(twin(x), before)


def test_scoring_finds_the_layers_and_puts_the_mode_back():
    net = network().train()
    train, plain = images(COLOUR), Precision("fp32", torch.device("cpu"), torch.amp.GradScaler("cpu", enabled=False))
    wrapped = scored(net)
    with watch_activity(wrapped) as activity:
        seen = score(wrapped, train, [torch.arange(64)], functional.cross_entropy, plain)
    assert activity.dead().keys() == {"0"} and seen.images == 64
    assert all(module.training for module in net.modules())
    net.eval()
    score(scored(net), train, [torch.arange(64)], functional.cross_entropy, plain)
    assert not any(module.training for module in net.modules())


@torch.no_grad()
def test_views_of_another_size_are_views_of_the_resized_image():
    net, x = network(), images(COLOUR).clean(torch.arange(4)).x
    larger = ResolutionInEvaluation(size=20).plug(parts(net, COLOUR)).evaluate(net)
    resized = [v2.Resize(20, antialias=True)(view) for view in (x, x.flip(3))]
    torch.testing.assert_close(scored(larger)(x), (net(resized[0]) + net(resized[1])) / 2)


def test_a_run_keeps_the_plain_score_beside_and_its_best_weights_load(fly):
    from conftest import TINY

    from cockpit.engine import checkpoints
    from cockpit.runs.history import read_history

    text = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [8], convs: 1}")
    flight = fly(text, "tricks.tta.views=shift", "tricks.test_resolution.size=10")
    assert flight.end.state == "finished", flight.end.reason
    last = read_history(flight.run).evaluations[-1]
    assert last.plain_loss is not None and last.plain_loss != last.val_loss
    plain = loads(text).model.build(DIGITS)
    plain.load_state_dict(checkpoints.load(flight.run.checkpoint("best"))["model"])
