"""Averages of the weights against those of torch."""

import copy
from typing import Any

import pytest
import torch
from kit import COLOUR, images, moment, parts
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from cockpit.recipe import RecipeError, loads
from cockpit.tricks.swa import Swa
from cockpit.tricks.weight_ema import WeightEma


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 8), nn.BatchNorm1d(8)
    )


def walk(net: nn.Module, steps: int) -> Any:
    """Train on noise; yields the step just done."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    draw = torch.Generator().manual_seed(1)
    net.train()
    for step in range(steps):
        optimizer.zero_grad()
        net(torch.randn(8, 3, 16, 16, generator=draw)).square().mean().backward()
        optimizer.step()
        yield step


def floats(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in net.state_dict().items() if value.is_floating_point()}


@pytest.mark.parametrize("buffers", ["average", "copy"])
@pytest.mark.parametrize("every", [1, 3])
def test_the_moving_average_is_that_of_torch(buffers: str, every: int) -> None:
    net = network()
    ours = WeightEma(decay=0.9, warmup=False, every=every, buffers=buffers).plug(parts(net, COLOUR))
    theirs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9**every), use_buffers=buffers == "average")
    theirs.update_parameters(net)  # its first call copies
    for step in walk(net, 7):
        ours.weights(net, moment(step, COLOUR))
        if (step + 1) % every == 0:
            theirs.update_parameters(net)
    scored = ours.evaluate(net)
    torch.testing.assert_close(floats(scored), floats(theirs.module))
    assert int(scored[1].num_batches_tracked) == (7 if every == 1 else 6)  # counts are copied
    assert not torch.equal(scored[0].weight, net[0].weight)


def test_raw_weights_are_scored_on_request_while_the_average_runs_along() -> None:
    net = network()
    raw, ema = (WeightEma(decay=0.9, score=score).plug(parts(net, COLOUR)) for score in ("raw", "ema"))
    for step in walk(net, 3):
        raw.weights(net, moment(step, COLOUR))
        ema.weights(net, moment(step, COLOUR))
    assert raw.evaluate(net) is net
    torch.testing.assert_close(raw.state_dict(), floats(ema.evaluate(net)) | ema.state_dict())


@pytest.mark.parametrize("every", [1, 4])
def test_the_warm_up_forgets_the_start_at_the_same_pace_however_often_it_is_done(every: int) -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight)
    average = WeightEma(decay=0.999, every=every).plug(parts(net))
    nn.init.zeros_(net.weight)
    for step in range(20):
        average.weights(net, moment(step))
    want = 1.0
    for done in range(every, 21, every):
        want *= min(0.999, (1 + done) / (10 + done)) ** every
    assert average.evaluate(net).weight.item() == pytest.approx(want, rel=1e-5)


def test_the_copy_holds_no_gradients_and_leaves_the_network_alone() -> None:
    net = network()
    for _ in walk(net, 1):
        pass
    before = copy.deepcopy(net.state_dict())
    for trick in (WeightEma(), Swa()):
        plug = trick.plug(parts(net, COLOUR))
        plug.weights(net, moment(99, COLOUR))
        scored = plug.evaluate(net)
        assert scored is not net and not scored.training and net.training
        assert all(weight.grad is None and not weight.requires_grad for weight in scored.parameters())
    assert all(weight.grad is not None and weight.requires_grad for weight in net.parameters())
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def taken(settings: Swa, total: int, per_epoch: int) -> list[int]:
    """The steps after which the mean changed."""
    net = nn.Linear(1, 1, bias=False)
    plug = settings.plug(parts(net))
    seen = []
    for step in range(total):
        nn.init.constant_(net.weight, step + 1)
        before = plug.state_dict()["count"]
        plug.weights(net, moment(step, total=total, per_epoch=per_epoch))
        if plug.state_dict()["count"] > before:
            seen.append(step + 1)
    scored = plug.evaluate(net)
    assert (scored is net) is (not seen)
    if seen:
        assert scored.weight.item() == pytest.approx(sum(seen) / len(seen))
    return seen


def test_the_mean_is_of_the_ends_of_epochs_in_the_tail() -> None:
    assert taken(Swa(), 100, 10) == [80, 90, 100]
    assert taken(Swa(start=0.7), 100, 10) == [80, 90, 100]  # step 70 is the last before the tail
    assert taken(Swa(start=0.0, every=0.5), 20, 10) == [5, 10, 15, 20]
    assert taken(Swa(every=2.0), 100, 10) == [80, 100]
    assert taken(Swa(every=0.01), 8, 4) == [7, 8]
    assert taken(Swa(every=30.0), 100, 10) == []
    assert taken(Swa(), 2, 2) == [2]


def test_the_mean_is_that_of_torch_with_statistics_of_clean_images() -> None:
    net, train = network(), images(COLOUR, 300)
    plug = Swa(start=0.5, every=0.2).plug(parts(net, COLOUR, train))
    theirs = AveragedModel(net)
    for step in walk(net, 20):
        plug.weights(net, moment(step, COLOUR, total=20))
        if step + 1 > 10 and (step + 1) % 2 == 0:
            theirs.update_parameters(net)
    scored = plug.evaluate(net)
    torch.testing.assert_close(dict(scored.named_parameters()), dict(theirs.module.named_parameters()))
    assert plug.state_dict()["count"] == 5
    order = torch.randperm(300, generator=parts(net).stream("swa"))
    batches = [train.clean(part).x for part in order.tensor_split(3)]
    update_bn(batches, theirs)
    torch.testing.assert_close(floats(scored), floats(theirs.module))
    norm = scored[1]
    assert norm.momentum == 0.1 and not norm.training


def test_statistics_of_an_odd_split_leave_no_image_alone() -> None:
    net, train = network(), images(COLOUR, 129)  # 128 and 1, which batch norm over a vector cannot take
    plug = Swa(start=0.0, every=0.1).plug(parts(net, COLOUR, train))
    plug.weights(net, moment(0, COLOUR))
    assert torch.isfinite(plug.evaluate(net)[1].running_var).all()


def test_statistics_are_taken_once_for_each_mean_and_again_after_a_resume() -> None:
    net = network()
    plug, other = (Swa(start=0.0, every=0.1).plug(parts(net, COLOUR)) for _ in range(2))
    plug.weights(net, moment(0, COLOUR))
    state, whole = torch.get_rng_state(), plug.evaluate(net)
    assert torch.equal(torch.get_rng_state(), state)
    whole[1].running_mean.add_(1)
    assert plug.evaluate(net) is whole and whole[1].running_mean.min() > 0.2
    other.load_state_dict(plug.state_dict())
    whole[1].running_mean.sub_(1)
    torch.testing.assert_close(floats(other.evaluate(net)), floats(whole), rtol=0, atol=1e-6)


def rates(settings: Swa, schedule: list[float]) -> list[float]:
    plug = settings.plug(parts(nn.Linear(1, 1)))
    return [plug.schedule(lr, moment(step, total=len(schedule))) for step, lr in enumerate(schedule)]


def test_the_rate_of_the_tail_stays_and_is_at_most_what_the_run_has_had() -> None:
    falling = [0.1, 0.075, 0.05, 0.025]
    assert rates(Swa(start=0.5), falling) == [0.1, 0.075, 0.05, 0.05]
    assert rates(Swa(start=0.5, swa_lr=0.02), falling) == [0.1, 0.075, 0.02, 0.02]
    assert rates(Swa(start=0.5), [1e-3, 1e-3, 5e-4, 0.0]) == [1e-3] * 4  # adam
    assert rates(Swa(start=0.0), [0.01, 0.1, 0.1, 0.0]) == [0.01, 0.05, 0.05, 0.05]  # a warm-up stays one


def test_a_resume_in_the_tail_remembers_the_highest_rate() -> None:
    plug, other = (Swa(start=0.5).plug(parts(nn.Linear(1, 1))) for _ in range(2))
    for step in range(60):
        plug.schedule(0.03 if step < 50 else 0.001, moment(step))
    other.load_state_dict(plug.state_dict())
    assert plug.schedule(0.0, moment(60)) == other.schedule(0.0, moment(60)) == 0.03


def test_one_average_at_a_time() -> None:
    with pytest.raises(RecipeError, match="two averages of the weights at once"):
        loads("tricks: {swa: on, weight_ema: on}")
