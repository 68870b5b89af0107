"""The checks: each leaves no trace, and each number is held against another way to get it."""

import copy
import importlib
import json
import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from torch import Tensor, nn

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine import randomness
from cockpit.engine.assemble import assemble
from cockpit.engine.checks import CHECKS
from cockpit.engine.checks.lr_range import lr_range, suggested
from cockpit.engine.checks.overfit import overfit_one_batch
from cockpit.engine.checks.sharpness import sharpness, top_eigenvalue
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.engine.training import Training
from cockpit.recipe import loads

noise_scale = importlib.import_module("cockpit.engine.checks.noise_scale")

FULL = """
about: everything that a check could disturb
data: {source: digits, limit: 200}
model: {name: small_cnn, widths: [8], convs: 1, norm: batch}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 0.001}
schedule: cosine
train: {epochs: 2, batch_size: 32, device: cpu, precision: fp32}
tricks: {mixup: on, dropout: {p: 0.3}, weight_ema: on, decay_by_hand: {lam: 0.01}, grad_clip: on}
"""
LINEAR = ("model={name: mlp, widths: [], norm: none}",)


def job_of(text: str = TINY, *edits: str) -> Training:
    torch.set_num_threads(1)
    return assemble(loads(text, edits=edits), Places(root=data_root()))[0]


def train(job: Training, steps: int) -> list[float]:
    """The losses of the next steps."""
    assert job.step + steps <= job.total_steps
    rows: list[float] = []
    recorder = Recorder(lambda steps, layers: rows.extend(steps["loss"].tolist()))
    job.model.train()
    while steps:
        for places in job.rest_of_epoch():
            take_step(job, places, recorder)
            steps -= 1
            if not steps:
                break
    recorder.flush()
    return rows


def everything(job: Training) -> dict[str, Any]:
    """A deep copy of all that a check must leave alone."""
    plain = {
        "state": job.state_dict(),
        "buffers": dict(job.model.named_buffers()),
        "gradients": {name: weight.grad for name, weight in job.model.named_parameters()},
        "trained": [weight.requires_grad for weight in job.model.parameters()],
        "modes": [module.training for module in job.model.modules()],
        "groups": [{key: value for key, value in group.items() if key != "params"} for group in job.optimizer.param_groups],
        "python": random.getstate(),
        "numpy": randomness.state()["numpy"],
        "torch": torch.get_rng_state(),
        "probe": [job.probe._before, job.probe._grads],
    }
    return copy.deepcopy(plain)


def same(one: Any, two: Any) -> bool:
    """Whether two nested copies are alike to the bit."""
    if isinstance(one, Tensor):
        return isinstance(two, Tensor) and one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(value, two[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(*pair) for pair in zip(one, two, strict=True))
    return bool(one == two)


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("done", [0, 3])
def test_a_check_leaves_no_trace(name: str, done: int):
    job = job_of(FULL)
    train(job, done) if done else None
    job.model.get_submodule("head").eval()
    groups = [id(group) for group in job.optimizer.param_groups]
    before = everything(job)
    found = CHECKS[name](job)
    after = everything(job)
    assert [key for key in before if not same(before[key], after[key])] == []
    assert [id(group) for group in job.optimizer.param_groups] == groups, "tricks hold them"
    assert json.dumps(found.plain(), allow_nan=False) and found.headline


def test_a_run_after_all_checks_is_the_run_without():
    plain = job_of(FULL)
    losses = train(plain, 9)
    ended = copy.deepcopy(plain.state_dict())
    checked = job_of(FULL)
    seen = train(checked, 3)
    for check in CHECKS.values():
        check(checked)
    assert losses == seen + train(checked, 6)
    assert same(ended, checked.state_dict())


def test_a_check_that_fails_leaves_no_trace_either(monkeypatch: pytest.MonkeyPatch):
    job = job_of(FULL)
    train(job, 2)
    before, take, calls = everything(job), job.wiring.batch, []

    def breaking(*given: Any) -> Any:
        calls.append(given)
        if len(calls) > 4:
            raise KeyError("a fault in the middle of the sweep")
        return take(*given)

    monkeypatch.setattr(job.wiring, "batch", breaking)
    with pytest.raises(KeyError):
        lr_range(job)
    assert same(before, everything(job))


def curve(
    function: Callable[[float], float], low: float = 1e-6, high: float = 10.0, steps: int = 100
) -> list[tuple[float, float]]:
    return [(rate, function(math.log10(rate))) for rate in np.geomspace(low, high, steps).tolist()]


def test_the_suggested_rates_of_a_known_curve():
    points = curve(lambda x: 2 - 1.5 / (1 + math.exp(-6 * (x + 2.5))) + 4 * max(0.0, x + 0.5) ** 2)
    steepest, least = suggested(points)
    assert math.log10(steepest) == pytest.approx(-2.5, abs=0.15)
    assert math.log10(least) == pytest.approx(-0.5, abs=0.15)


def test_noise_before_the_fall_is_not_the_steepest():
    noise = np.random.default_rng(0).normal(0, 0.05, 100)
    points = [(rate, loss + noise[i]) for i, (rate, loss) in enumerate(curve(lambda x: 2 - 0.8 * max(0.0, x + 1.5)))]
    assert min(b[1] - a[1] for a, b in pairwise(points[10:60])) < -0.08, "as steep, from step to step"
    assert math.log10(suggested(points)[0]) > -1.8


@pytest.mark.parametrize("points", [[], curve(lambda x: 2.0), curve(lambda x: 2 + x / 10), curve(lambda x: -x, steps=2)])
def test_there_is_no_rate_for_a_loss_that_never_falls(points: list[tuple[float, float]]):
    assert all(math.isnan(rate) for rate in suggested(points))


QUADRATIC = (
    *LINEAR,
    "loss=mse",
    "optimizer={name: sgd, lr: 0.01, momentum: 0}",
    "train={batch_size: 200, epochs: 20}",
    "schedule=constant",
)


def test_on_a_quadratic_the_suggested_rates_are_stable_and_fast():
    edge = 2 / float(torch.linalg.eigvalsh(hessian(job_of(TINY, *QUADRATIC)))[-1])
    found = lr_range(job_of(TINY, *QUADRATIC))
    steepest, ceiling = found.numbers["steepest"], found.numbers["ceiling"]
    assert edge / 10 < ceiling < 3 * edge and steepest < ceiling
    slow, low, high, wild = (
        train(job_of(TINY, *QUADRATIC, f"optimizer.lr={rate}"), 20)[-1]
        for rate in (ceiling / 1000, min(steepest, ceiling / 10), ceiling / 3, 3 * edge)
    )
    assert low < slow and high < slow and wild > 10 * slow
    assert [found.ok, lr_range(job_of(TINY, *QUADRATIC, f"optimizer.lr={10 * edge}")).ok] == [True, False]


def test_a_sweep_ends_where_the_loss_explodes_and_skips_what_finds_its_own_rate():
    found = lr_range(job_of(TINY, *QUADRATIC), high=1e6)
    assert len(found.curve) < 100 and all(math.isfinite(loss) for _, loss in found.curve)
    assert "finds its own" in lr_range(job_of(TINY, "optimizer=vsgd")).headline


def test_a_good_network_learns_a_batch_by_heart():
    found = overfit_one_batch(job_of(TINY, "model.widths=[64]", "tricks={dropout: {p: 0.5}, mixup: on}"))
    assert found.ok and found.numbers["accuracy"] == 1 and found.numbers["floor"] == 0
    assert found.numbers["loss"] == found.curve[-1][1] < 0.05


def test_label_smoothing_lifts_the_floor():
    found = overfit_one_batch(job_of(TINY, "model.widths=[64]", "tricks.label_smoothing={epsilon: 0.1}"))
    assert found.numbers["floor"] == pytest.approx(0.5003, abs=1e-4)
    assert found.ok and 0.5 < found.numbers["loss"] < 0.5503


def test_equal_weights_learn_nothing_by_heart():
    found = overfit_one_batch(job_of(TINY, "model.widths=[64]", "model.init=zeros"))
    assert not found.ok and "does not learn 32 images" in found.headline and found.numbers["accuracy"] < 0.5


def test_a_batch_that_ends_in_infinity_is_a_finding_and_still_json():
    job = job_of()
    job.criterion = lambda logits, y: nn.functional.cross_entropy(logits, y) * (1 if len(y) == 1 else math.inf)
    found = overfit_one_batch(job)
    assert not found.ok and found.plain()["numbers"]["loss"] is None and found.plain()["curve"] == []


def per_image(job: Training, x: Tensor, y: Tensor) -> Tensor:
    """(N, P): the gradient of each image by itself."""
    job.model.eval()
    rows = []
    for image, label in zip(x, y, strict=True):
        loss = nn.functional.cross_entropy(job.model(image[None]), label[None])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(job.model.parameters()))]))
    return torch.stack(rows).double()


@pytest.mark.parametrize(("small", "tolerance"), [(1, 1e-4), (16, 0.2)])
def test_the_noise_scale_is_that_of_the_gradients_one_by_one(small: int, tolerance: float):
    job = job_of(TINY, *LINEAR)
    found = noise_scale.noise_scale(job, small=small, big=200)
    each = per_image(job, *job.train.clean(torch.arange(200))[:2])
    noise = float(each.var(dim=0).sum())
    signal = float(each.mean(0).square().sum()) - noise / 200
    assert found.numbers["noise"] == pytest.approx(noise, rel=tolerance)
    assert found.numbers["signal"] == pytest.approx(signal, rel=tolerance)
    assert found.numbers["scale"] == pytest.approx(noise / signal, rel=tolerance)


def test_several_large_batches_are_averaged_above_and_below_apart():
    job = job_of(TINY, *LINEAR)
    one = noise_scale.noise_scale(job, small=1, big=50)
    images = torch.cat(list(job.probe_places()))
    parts = [per_image(job, *job.train.clean(images[at : at + 50])[:2]) for at in range(0, 200, 50)]
    noise = sum(float(part.var(dim=0).sum()) for part in parts) / 4
    whole = sum(float(part.mean(0).square().sum()) for part in parts) / 4
    assert one.numbers["scale"] == pytest.approx(noise / (whole - noise / 50), rel=1e-4)


def test_a_gradient_of_nothing_but_noise_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(noise_scale, "_squares", lambda *_: (13.0, 1.0))
    assert "all noise" in noise_scale.noise_scale(job_of(TINY)).headline


def test_the_noise_is_compared_with_the_images_of_a_step():
    found = noise_scale.noise_scale(job_of(TINY, "tricks.grad_accumulation={steps: 2}"))
    assert found.numbers["batch"] == 64


def eigenvalue(matrix: Tensor, iters: int = 20, seed: int = 0) -> float:
    start = torch.randn(len(matrix), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return top_eigenvalue(lambda v: [matrix @ v[0]], [start], iters)


@pytest.mark.parametrize(
    ("values", "top"),
    [
        ((1, 2, 7, -3), 7),
        ((3, 1, -10), 3),
        ((7, 1, -7.1), 7),
        ((7, 1, -7), 7),
        ((-1, -5), -1),
        ((4, 4, 4), 4),
        ((0, 0), 0),
        ((0, -2), 0),
    ],
)
def test_the_top_eigenvalue_is_the_largest_and_not_the_largest_in_size(values: tuple[float, ...], top: float):
    turn = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64))[0]
    matrix = turn @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ turn.T
    for seed in range(5):
        assert eigenvalue(matrix, seed=seed) == pytest.approx(top, abs=0.01 * max(map(abs, values)))


def test_the_top_eigenvalue_of_random_matrices():
    for seed in range(10):
        draw = torch.Generator().manual_seed(seed)
        half = torch.randn(12, 12, generator=draw, dtype=torch.float64)
        top = float(torch.linalg.eigvalsh(half + half.T)[-1])
        assert eigenvalue(half + half.T, 300, seed) == pytest.approx(top, rel=0.05)
        assert 0.75 * top < eigenvalue(half + half.T, 20, seed) < top * (1 + 1e-9)


def hessian(job: Training) -> Tensor:
    """(P, P), of the loss on the clean probe."""
    names = {name: weight.shape for name, weight in job.model.named_parameters()}
    x, y = job.train.clean(torch.cat(list(job.probe_places())))[:2]
    flat = torch.cat([weight.detach().flatten() for weight in job.model.parameters()])
    job.model.eval()

    def loss(vector: Tensor) -> Tensor:
        pieces = vector.split([shape.numel() for shape in names.values()])
        weights = {name: piece.view(names[name]) for name, piece in zip(names, pieces, strict=True)}
        return job.criterion(torch.func.functional_call(job.model, weights, (x,)), y)

    return torch.autograd.functional.hessian(loss, flat, vectorize=True)


@pytest.mark.parametrize("edits", [("model.widths=[3]",), ("model={name: small_cnn, widths: [3], convs: 1, norm: batch}",)])
def test_the_sharpness_is_the_top_of_the_full_hessian(edits: tuple[str, ...]):
    job = job_of(TINY, *edits)
    train(job, 4)
    found = sharpness(job, iters=60)
    top = float(torch.linalg.eigvalsh(hessian(job))[-1])
    assert found.numbers["eigenvalue"] == pytest.approx(top, rel=0.02)
    assert found.numbers["limit"] == pytest.approx(2 / top, rel=0.02)


def test_no_curvature_and_no_finite_curvature_are_findings():
    job = job_of(TINY, *LINEAR, "loss=hinge_multi")
    assert "flat" in sharpness(job).headline
    job = job_of(TINY)
    with torch.no_grad():
        next(job.model.parameters()).fill_(math.nan)
    assert not sharpness(job).ok and json.dumps(sharpness(job).plain(), allow_nan=False)
