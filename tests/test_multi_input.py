"""Networks for several images at once: by hand, against the plain network, and what they refuse."""

import copy

import pytest
import torch
from kit import COLOUR, images, moment, parts
from torch import Tensor, nn
from torch.nn import functional

from cockpit.catalog import family
from cockpit.nets.multi_input import MultiInput, Stems, ensembled, try_out
from cockpit.recipe import loads
from cockpit.travel import Batch, Moment, Outcome, Task
from cockpit.tricks.label_smoothing import LabelSmoothing
from cockpit.tricks.multi_input import Mimo, Mixmo, stacked, weights

NETS = ["small_cnn", "resnet, depth: 20, width: 0.25", "vit, dim: 12, depth: 1", "mlp, widths: [8]"]


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(384, 10))


def built(text: str, task: Task = COLOUR) -> nn.Module:
    torch.manual_seed(0)
    return loads(f"model: {{name: {text}}}").model.build(task)


def test_stems_are_one_convolution_of_the_channels_side_by_side():
    layers = [nn.Conv2d(3, 5, 3, padding=1) for _ in range(4)]
    x = torch.rand(2, 12, 6, 6)
    whole = functional.conv2d(x, torch.cat([layer.weight for layer in layers], dim=1), padding=1)
    bias = torch.stack([layer.bias for layer in layers]).sum(0).view(1, -1, 1, 1)
    torch.testing.assert_close(Stems(layers)(x), whole + bias)


@pytest.mark.parametrize("inputs", [2, 3, 4])
def test_the_forward_pass_by_hand(inputs):
    plain = network()
    net = MultiInput(copy.deepcopy(plain), inputs, stream())
    groups = torch.rand(inputs, 5, 3, 16, 16)
    hidden = sum(stem(x) for stem, x in zip(net.stems.layers, groups, strict=True)).tanh().flatten(1)
    heads = net.net[3].weight.view(inputs, 10, 384), net.net[3].bias.view(inputs, 10)
    want = torch.cat([hidden @ weight.T + bias for weight, bias in zip(*heads, strict=True)])
    torch.testing.assert_close(net(groups.flatten(0, 1)), want)
    assert torch.equal(net.stems.layers[0].weight, plain[0].weight) and torch.equal(heads[0][0], plain[3].weight)


def test_further_stems_and_heads_are_fresh_draws_of_the_same_spread():
    net = MultiInput(network(), 3, stream())
    stems = [layer.weight.detach().flatten() for layer in net.stems.layers]
    heads = net.net[3].weight.detach().view(3, -1)
    for one, two in ((stems[0], stems[1]), (stems[1], stems[2]), (heads[0], heads[1])):
        assert float((one - two).abs().mean()) > 0.5 * float(one.abs().mean())
        torch.testing.assert_close(one.sort().values, two.sort().values)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("inputs", [2, 3])
def test_equal_shares_of_the_stem_and_equal_heads_are_the_plain_network(name, inputs):
    plain = built(name).eval()
    net = MultiInput(copy.deepcopy(plain), inputs, stream()).eval()
    with torch.no_grad():
        for layer in net.stems.layers[1:]:
            for weight, first in zip(layer.parameters(), net.stems.layers[0].parameters(), strict=True):
                weight.copy_(first / inputs)
        for weight in net.stems.layers[0].parameters():
            weight.div_(inputs)
        head = net.net.head
        for weight in (head.weight, head.bias):
            weight.copy_(
                weight.unflatten(0, (inputs, -1))[:1].expand(inputs, *weight.unflatten(0, (inputs, -1)).shape[1:]).flatten(0, 1)
            )
        x = torch.rand(4, 3, 16, 16)
        torch.testing.assert_close(net(x), plain(x), atol=1e-4, rtol=1e-4)


def test_with_one_live_stem_and_its_head_an_input_passes_as_through_the_plain_network():
    plain = network()
    net = MultiInput(copy.deepcopy(plain), 2, stream())
    with torch.no_grad():
        for weight in net.stems.layers[1].parameters():
            weight.zero_()
    x = torch.rand(8, 3, 16, 16)
    torch.testing.assert_close(net(x)[:4], plain(x[:4]))


def test_the_answer_has_the_mean_of_the_softmaxes():
    logits = 3 * torch.randn(6, 3, 10)
    torch.testing.assert_close(ensembled(logits).softmax(1), logits.softmax(2).mean(1))
    torch.testing.assert_close(ensembled(logits[:, :1].expand(-1, 3, -1)), logits[:, 0])


@pytest.mark.parametrize("name", NETS)
def test_networks_of_every_kind_train(name):
    net = built(name)
    assert try_out(net, 2, COLOUR, stream()) == {"s": (16, 16), "r": (16, 16), "v": (4, 4), "m": ()}[name[0]]
    wrapped = MultiInput(net, 2, stream()).train()
    wrapped(torch.rand(8, 3, 16, 16)).square().mean().backward()
    assert all(weight.grad is not None for weight in wrapped.parameters())
    assert wrapped.eval()(torch.rand(3, 3, 16, 16)).shape == (3, 10)


def test_what_hangs_on_the_head_goes_on_hanging_there():
    net = network()
    handle = net[3].register_forward_pre_hook(lambda _, inputs: (torch.zeros_like(inputs[0]),))
    wrapped = MultiInput(net, 2, stream())
    assert len(wrapped(torch.rand(4, 3, 16, 16))[:2].unique(dim=0)) == 1
    handle.remove()
    assert len(wrapped(torch.rand(4, 3, 16, 16))[:2].unique(dim=0)) == 2


def test_networks_that_cannot_be_shared_are_refused():
    fixed = network()
    fixed[0].requires_grad_(False)
    normed = nn.Sequential(nn.BatchNorm2d(3), *network())
    late = nn.Sequential(nn.Flatten(), nn.Linear(768, 10))
    only_maps = nn.Sequential(nn.Conv2d(3, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for net, why in (
        (fixed, "fixed"),
        (normed, "cannot have 2 first layers"),
        (late, "also its last"),
        (only_maps, "no linear layer"),
    ):
        with pytest.raises(ValueError, match=why):
            Mimo().plug(parts(net, COLOUR))
    with pytest.raises(ValueError, match="form: linear"):
        Mixmo().plug(parts(built(NETS[3]), COLOUR))
    Mixmo(form="linear").plug(parts(built(NETS[3]), COLOUR))


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("rho", [0.0, 0.4, 1.0])
def test_the_inputs_are_shuffles_of_the_repeated_batch(size, rho):
    plain = Batch(torch.rand(size, 1, 2, 2), torch.arange(size), 100 + torch.arange(size))
    made = stacked(plain, 3, 4, rho, stream())
    groups = made.y.view(3, 4 * size)
    assert all(torch.bincount(group, minlength=size).tolist() == [4] * size for group in groups)
    assert torch.equal(made.ids, made.y + 100) and torch.equal(made.x, plain.x[made.y])
    equal = int((groups == groups[0]).all(0).sum())
    assert equal >= 4 * size - int(4 * size * (1 - rho))
    if size == 7 and rho < 1:
        assert equal < 4 * size and not torch.equal(groups[1], groups[2])


class Bench:
    """A trick on a network, with the objective that the loop would have."""

    def __init__(self, trick: Mimo | Mixmo, net: nn.Module | None = None, criterion=functional.cross_entropy) -> None:
        self.feed = images(COLOUR, 12)
        self.plug = trick.plug(parts(net or network(), COLOUR, self.feed))
        self.net = self.plug.model(net or network(), COLOUR)
        self.criterion = self.plug.loss(criterion, COLOUR)
        wrap = getattr(self.plug, "objective", lambda inner, *_: inner)
        self.objective = wrap(self.inner, self.net, self.criterion)

    def inner(self, batch: Batch, at: Moment) -> Outcome:
        logits = self.net(batch.x)
        return Outcome(self.criterion(logits, batch.y), logits)

    def batch(self, at: Moment, first: int = 0) -> Batch:
        return self.plug.batch(self.feed.standardise(self.feed.take(torch.arange(first, 12))), at)


@pytest.mark.parametrize("m", [2, 3])
def test_the_loss_is_the_sum_over_the_heads(m):
    bench = Bench(Mimo(m=m, batch_repeat=2))
    made = bench.batch(moment())
    outcome = bench.objective(made, moment())
    heads = zip(bench.net(made.x).chunk(m), made.y.chunk(m), strict=True)
    torch.testing.assert_close(outcome.loss, sum(functional.cross_entropy(*head) for head in heads))
    assert outcome.logits.shape == (m * 24, 10) and made.y.shape == (m * 24,)


def by_hand(bench: Bench, made: Batch, criterion) -> Tensor:
    """Mixmo's loss image by image."""
    mask, shares = bench.plug._kept[made.ids]
    x, y, (one, two), head = made.x.chunk(2), made.y.chunk(2), bench.net.stems.layers, bench.net.net[3]
    mixed = 2 * (mask * one(x[0]) + (1 - mask) * two(x[1]))
    answers = functional.linear(mixed.tanh().flatten(1), head.weight, head.bias).unflatten(1, (2, 10))
    share = mask.expand(-1, 1, 8, 8).mean(dim=(1, 2, 3))
    total = 0.0
    for image in range(len(mask)):
        roots = share[image] ** (1 / 3), (1 - share[image]) ** (1 / 3)
        for number in range(2):
            weight = 2 * roots[number] / sum(roots)
            torch.testing.assert_close(weight, shares[number * len(mask) + image], atol=1e-5, rtol=1e-5)
            total = total + weight * criterion(answers[image, number][None], y[number][image][None])
    return total / len(mask)


@pytest.mark.parametrize("form", ["linear", "cut"])
@pytest.mark.parametrize("loss", ["cross_entropy", "smoothed", "bce"])
def test_mixmo_by_hand(form, loss):
    criterion = {
        "cross_entropy": functional.cross_entropy,
        "bce": functional.binary_cross_entropy_with_logits,
        "smoothed": LabelSmoothing().loss(functional.cross_entropy, COLOUR),
    }[loss]
    bench = Bench(Mixmo(form=form, p_cut=1.0), criterion=criterion)
    swapped = set()
    for step in range(6):
        at = moment(step)
        made = bench.batch(at)
        mask, _ = bench.plug._kept[made.ids]
        assert mask.shape == ((24, 1, 8, 8) if form == "cut" else (24, 1, 1, 1))
        if form == "cut":
            assert set(mask.unique().tolist()) == {0.0, 1.0}
            swapped.add(bool(mask[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].mean() > 0.5))  # the corners are seldom in the box
        torch.testing.assert_close(bench.objective(made, at).loss, by_hand(bench, made, criterion))
        assert bench.net.stems.mask is None
    assert form == "linear" or swapped == {True, False}


def test_the_parts_of_a_large_batch_keep_their_masks():
    bench, at = Bench(Mixmo()), moment()
    made = [bench.batch(at), bench.batch(at.part(1), first=5)]
    assert not torch.equal(bench.plug._kept[made[0].ids][0][:14], bench.plug._kept[made[1].ids][0])
    for part in made:
        torch.testing.assert_close(bench.objective(part, at).loss, by_hand(bench, part, functional.cross_entropy))


def test_weights_follow_the_roots_of_the_shares():
    share = torch.tensor([0.5, 1.0, 0.0, 0.125])
    torch.testing.assert_close(weights(share, 1.0), torch.tensor([[1.0, 2.0, 0.0, 0.25], [1.0, 0.0, 2.0, 1.75]]))
    cube = 0.875 ** (1 / 3)
    torch.testing.assert_close(weights(share, 3.0)[0, 3], torch.tensor(2 * 0.5 / (0.5 + cube)))


def test_cuts_end_with_the_run():
    trick = Mixmo(p_cut=0.6, decay_tail=0.25)
    chances = [trick.cuts(moment(step, total=100)) for step in (0, 75, 80, 95, 99)]
    assert chances == pytest.approx([0.6, 0.6, 0.48, 0.12, 0.024])
    assert Mixmo(decay_tail=0.0).cuts(moment(99, total=100)) == 0.5
    assert Mixmo(form="linear").cuts(moment()) == 0
    bench, cut = Bench(Mixmo()), 0
    for step in range(60):
        cut += bench.plug._kept[bench.batch(moment(step)).ids][0].shape[-1] == 8
    assert 20 < cut < 40


@pytest.mark.parametrize("name", sorted(family("loss")))
def test_every_loss_that_takes_soft_targets_takes_weights(name):
    card = family("loss")[name]
    if "soft_targets" in card.conflicts:
        return
    criterion = loads(f"loss: {name}").loss.build(COLOUR)
    bench = Bench(Mixmo(), criterion=criterion)
    made = bench.batch(moment())
    loss = bench.objective(made, moment()).loss
    torch.testing.assert_close(loss, by_hand(bench, made, criterion))
