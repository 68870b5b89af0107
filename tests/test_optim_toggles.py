"""SAM, lookahead and adaptive clipping against twins."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm.optim
import timm.utils
import torch
from kit import moment, parts
from torch import Tensor, nn
from torch.nn import functional

from cockpit.travel import Gradients
from cockpit.tricks.grad_clip import GradClip
from cockpit.tricks.lookahead import Lookahead
from cockpit.tricks.sam import Sam


def net() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


def look(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> Callable[[], Tensor]:
    draw = torch.Generator().manual_seed(step)
    x, y = torch.randn(16, 6, generator=draw), torch.randint(0, 3, (16,), generator=draw)

    def again() -> Tensor:
        with torch.enable_grad():
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
        return loss.detach()

    return again


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_steps_by_the_gradient_of_the_nearby_point(adaptive: bool) -> None:
    ours, twin = net(), net()
    mine = torch.optim.SGD(ours.parameters(), lr=0.2, momentum=0.9)
    theirs = torch.optim.SGD(twin.parameters(), lr=0.2, momentum=0.9)
    step = Sam(rho=0.3, adaptive=adaptive).update(lambda again: mine.step(), mine)
    for number in range(6):
        again = look(ours, mine, number)
        again()
        step(again)

        again = look(twin, theirs, number)
        again()
        weights = list(twin.parameters())
        home = [weight.detach().clone() for weight in weights]
        flat_w = torch.cat([weight.detach().flatten() for weight in weights])
        flat_g = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
        away = flat_w.square() * flat_g / (flat_w * flat_g).norm() if adaptive else flat_g / flat_g.norm()
        assert adaptive or float((0.3 * away).norm()) == pytest.approx(0.3, rel=1e-5)
        with torch.no_grad():
            nn.utils.vector_to_parameters(flat_w + 0.3 * away, weights)
        again()
        with torch.no_grad():
            for weight, old in zip(weights, home, strict=True):
                weight.copy_(old)
        theirs.step()
        for one, other in zip(ours.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one, other)


def test_sam_puts_the_weights_back_to_the_bit_and_leaves_frozen_ones_alone() -> None:
    model = net()
    model[3].bias.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    again, seen = look(model, optimizer, 0), []
    before = [weight.detach().clone() for weight in model.parameters()]
    again()

    def watched() -> Tensor:
        seen.append([weight.detach().clone() for weight in model.parameters()])
        return again()

    stood: list[list[Tensor]] = []
    Sam().update(lambda _: stood.append([weight.detach().clone() for weight in model.parameters()]), optimizer)(watched)
    assert all(torch.equal(one, other) for one, other in zip(before, stood[0], strict=True))
    moved = [not torch.equal(one, other) for one, other in zip(before, seen[0], strict=True)]
    assert moved == [True, True, True, True, False]


def test_sam_stays_where_the_gradient_is_nothing() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def again() -> Tensor:
        weight.grad = torch.zeros(3)
        return torch.zeros(())

    again()
    Sam().update(lambda again: optimizer.step(), optimizer)(again)
    assert torch.equal(weight.detach(), torch.ones(3))


def test_lookahead_is_timms() -> None:
    ours, twin = net(), net()
    mine = torch.optim.SGD(ours.parameters(), lr=0.3)
    theirs = timm.optim.Lookahead(torch.optim.SGD(twin.parameters(), lr=0.3), alpha=0.4, k=3)
    plug = Lookahead(k=3, alpha=0.4).plug(parts(ours))
    # timm's slow weights start at its first look, three steps in; the paper's and ours start where the training does
    for group in theirs.param_groups:
        for weight in group["params"]:
            theirs._base_optimizer.state[weight]["lookahead_slow_buff"] = weight.detach().clone()
    for number in range(10):
        look(ours, mine, number)()
        mine.step()
        plug.weights(ours, moment(number))
        look(twin, theirs, number)()
        theirs.step()
        for one, other in zip(ours.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one, other)
    slow = dict(plug.evaluate(ours).named_parameters())
    for name, weight in twin.named_parameters():
        buffer = theirs._base_optimizer.state[weight]["lookahead_slow_buff"]
        torch.testing.assert_close(slow[name].detach(), buffer)
        assert not torch.equal(buffer, weight.detach())


def test_lookahead_scores_the_slow_weights_with_the_statistics_of_now() -> None:
    model = net()
    plug = Lookahead(k=5).plug(parts(model))
    start = copy.deepcopy(model.state_dict())
    model(torch.randn(32, 6) + 4)
    with torch.no_grad():
        model[0].weight.add_(1)
    plug.weights(model, moment(0))
    scored = plug.evaluate(model).state_dict()
    assert torch.equal(scored["0.weight"], start["0.weight"])
    assert torch.equal(scored["1.running_mean"], model[1].running_mean)
    assert not torch.equal(scored["1.running_mean"], start["1.running_mean"])


def agc_twin(model: nn.Module, share: float) -> dict[str, Tensor]:
    """Unit by unit, in loops, as the paper has it."""
    want = {}
    for name, weight in model.named_parameters():
        grad = weight.grad.clone()
        if not name.startswith("3."):  # the head
            for row, unit in enumerate(weight if weight.ndim > 1 else [weight]):
                part = grad[row] if weight.ndim > 1 else grad
                limit = share * max(float(unit.detach().norm()), 1e-3)
                if float(part.norm()) > limit:
                    part.mul_(limit / float(part.norm()))
        want[name] = grad
    return want


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_agc_limits_each_unit_by_its_weights_and_leaves_the_head(share: float) -> None:
    model = net()
    look(model, torch.optim.SGD(model.parameters(), lr=0.1), 0)()
    want = agc_twin(model, share)
    tensors = [weight.grad for weight in model.parameters() if weight.grad is not None]
    plug: Any = GradClip(max_norm=share, mode="agc").plug(parts(model))
    assert plug.grads(Gradients(tensors, None), moment()).tensors is tensors
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, want[name])
    assert torch.equal(model[3].weight.grad, want["3.weight"])


def test_agc_needs_a_head_and_the_others_do_not() -> None:
    convolutions = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert GradClip().plug(parts(convolutions)) == GradClip()
    with pytest.raises(ValueError, match="no linear layer"):
        GradClip(mode="agc").plug(parts(convolutions))
