"""The mathematics of each toggle against something independent."""

import copy

import pytest
import torch
from kit import parts
from torch import nn
from torch.nn import functional

from cockpit.engine.randomness import stream
from cockpit.travel import Batch, Clock, Gradients, Moment, Task, Verdict
from cockpit.tricks.dropout import Dropout
from cockpit.tricks.early_stopping import EarlyStopping
from cockpit.tricks.grad_clip import GradClip
from cockpit.tricks.label_smoothing import LabelSmoothing
from cockpit.tricks.no_decay_1d import NoDecay1d
from cockpit.tricks.weight_ema import WeightEma

TASK = Task(3, 8, 8, 10)


def at(step: int = 0) -> Moment:
    return Moment(Clock(step, 100, 10), TASK, lambda name: stream(0, name, step), 32)


def batch(size: int = 64) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(size, 3, 8, 8, generator=generator)
    return Batch(x, torch.randint(0, 10, (size,), generator=generator), torch.arange(size))


def test_label_smoothing_is_that_of_torch():
    logits, hard = torch.randn(16, 10), torch.randint(0, 10, (16,))
    ours = LabelSmoothing(epsilon=0.1).loss(functional.cross_entropy, TASK)
    torch.testing.assert_close(ours(logits, hard), functional.cross_entropy(logits, hard, label_smoothing=0.1))
    soft = torch.softmax(torch.randn(16, 10), 1)
    torch.testing.assert_close(ours(logits, soft), functional.cross_entropy(logits, soft, label_smoothing=0.1))


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_clipping_by_norm_is_that_of_torch(scale):
    ours = [nn.Parameter(torch.randn(5, 5)), nn.Parameter(torch.randn(7))]
    for weight in ours:
        weight.grad = torch.randn_like(weight) * scale
    theirs = copy.deepcopy(ours)
    for weight, twin in zip(ours, theirs, strict=True):
        twin.grad = weight.grad.clone()
    seen = GradClip(max_norm=1.0).grads(Gradients([weight.grad for weight in ours], None), at())
    norm = nn.utils.clip_grad_norm_(theirs, 1.0)
    torch.testing.assert_close(seen.norm, norm)
    for weight, twin in zip(ours, theirs, strict=True):
        torch.testing.assert_close(weight.grad, twin.grad)


def test_clipping_by_value_is_that_of_torch():
    weight = nn.Parameter(torch.zeros(100))
    weight.grad = torch.randn(100)
    want = weight.grad.clamp(-0.5, 0.5)
    GradClip(max_norm=0.5, mode="value").grads(Gradients([weight.grad], None), at())
    assert torch.equal(weight.grad, want)


def test_no_decay_splits_matrices_from_vectors():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    groups = NoDecay1d().params([{"params": list(net.parameters())}], net)
    assert [[weight.ndim for weight in group["params"]] for group in groups] == [[2], [1, 1, 1]]
    optimizer = torch.optim.SGD(groups, lr=0.1, weight_decay=0.5)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]


def test_the_average_is_that_of_torch():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    ours = WeightEma(decay=0.9, warmup=False).plug(parts(net))
    theirs = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    theirs.update_parameters(net)  # its first call copies
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for step in range(5):
        net(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        ours.weights(net, at(step))
        theirs.update_parameters(net)
    for mine, twin in zip(ours.evaluate(net).state_dict().values(), theirs.module.state_dict().values(), strict=True):
        if mine.is_floating_point():  # torch leaves the count of batches at 0; ours follows the network
            torch.testing.assert_close(mine, twin)


def test_the_average_forgets_its_start_faster_with_warm_up():
    net = nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight)
    average = WeightEma(decay=0.999).plug(parts(net))
    nn.init.zeros_(net.weight)
    for step in range(20):
        average.weights(net, at(step))
    want = 1.0
    for step in range(1, 21):
        want *= min(0.999, (1 + step) / (10 + step))
    assert float(average.evaluate(net).weight) == pytest.approx(want, rel=1e-5)


def test_dropout_scales_what_stays_and_is_off_in_evaluation():
    net = nn.Sequential(nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 1000))
    with torch.no_grad():
        net[2].weight.copy_(torch.eye(1000))
        net[2].bias.zero_()
    plug = Dropout(p=0.25).plug(parts(net))
    x = torch.randn(4, 1000)
    clean = net[:2](x)
    net.train()
    kept = net(x)
    active = (kept != 0) & (clean != 0)
    torch.testing.assert_close(kept[active], clean[active] / 0.75)
    assert abs(float(active.float().sum() / (clean != 0).sum()) - 0.75) < 0.04
    net.eval()
    torch.testing.assert_close(net(x), clean)
    plug.close()
    net.train()
    torch.testing.assert_close(net(x), clean)


def test_early_stopping_counts_evaluations_without_improvement():
    plug = EarlyStopping(patience=2).plug(parts(nn.Identity()))
    stops = [plug.verdict(Verdict(improved, 1.0, 0)).stop for improved in (True, False, True, False, False)]
    assert stops == ["", "", "", "", "no better validation score for 2 evaluations"]
    assert plug.verdict(Verdict(True, 1.0, 0)).keep_best
