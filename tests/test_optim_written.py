"""The optimizers of cockpit.optim against slow twins: loops over single numbers, written from the papers' formulas."""

import copy
import math
from typing import Any

import pytest
import torch
from choices import make
from torch import nn

START = [0.8, -1.5, 0.3, 2.0]


def gradient(w: list[float], step: int) -> list[float]:
    """Of a bowl whose centre and curvature wander, so that both look noisy."""
    steep = [c * (1 + 0.3 * math.sin(3 * step + i)) for i, c in enumerate((1.0, 0.3, 4.0, 0.05))]
    return [c * (x - 0.2 * math.sin(7 * step + i)) for i, (c, x) in enumerate(zip(steep, w, strict=True))]


def walk(name: str, steps: int, closure: bool = False, **knobs: Any) -> list[list[float]]:
    """Where our optimizer is after each step, in double precision."""
    weight = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer, seen = make("optimizer", name, **knobs).build([{"params": [weight]}]), []
    for step in range(steps):

        def again(step: int = step) -> None:
            weight.grad = torch.tensor(gradient(weight.tolist(), step), dtype=torch.float64)

        again()
        optimizer.step(again) if closure else optimizer.step()
        seen.append(weight.tolist())
    return seen


def assert_near(ours: list[list[float]], twin: list[list[float]], least_move: float = 1e-3) -> None:
    for one, other in zip(ours, twin, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    assert max(abs(a - b) for a, b in zip(ours[-1], START, strict=True)) > least_move


def adasecant_twin(steps: int, clip: float, decay: float, floor: bool, weight_decay: float) -> list[list[float]]:
    eps, w, seen = 1e-7, list(START), []
    past: list[dict[str, float]] = []
    for step in range(steps):
        raw = [g + weight_decay * x for g, x in zip(gradient(w, step), w, strict=True)]
        norm = math.sqrt(sum(g * g for g in raw))
        for i in range(4):
            g = raw[i] / (norm + eps)
            if step == 0:
                zero = dict.fromkeys(("mg", "mg2", "ma", "ma2", "mD", "maD", "n", "d", "sum"), 0.0)
                past.append({**zero, "tau": 2.2, "mD2": 1e-4 * g * g, "gp": g})
                w[i] -= 1e-2 * g
                continue
            s = past[i]
            keep = 1 - 1 / s["tau"]
            s["n"] = keep * s["n"] + (1 - keep) * ((s["gp"] - g) * (s["gp"] - s["mg"])) ** 2
            s["d"] = keep * s["d"] + (1 - keep) * ((s["gp"] - s["mg"]) * (g - s["mg"])) ** 2
            c = min(clip, math.sqrt(s["n"]) / (math.sqrt(s["d"]) + eps))
            calm = (g + c * s["mg"]) / (1 + c)
            a = g - s["gp"]
            far_g = abs(g - s["mg"]) > 2 * math.sqrt(max(0.0, s["mg2"] - s["mg"] ** 2))
            far_a = abs(a - s["ma"]) > 2 * math.sqrt(max(0.0, s["ma2"] - s["ma"] ** 2))
            s["tau"] = 2.2 if far_g or far_a else s["tau"]
            keep = 1 - 1 / s["tau"]
            s["ma"], s["ma2"] = keep * s["ma"] + (1 - keep) * a, keep * s["ma2"] + (1 - keep) * a * a
            s["mg"], s["mg2"] = decay * s["mg"] + (1 - decay) * g, decay * s["mg2"] + (1 - decay) * g * g
            eta = max(0.0, math.sqrt(s["mD2"] + eps) / math.sqrt(s["ma2"] + eps) - s["maD"] / (s["ma2"] + eps))
            s["sum"] += g * g
            eta /= max(1.0, math.sqrt(s["sum"])) if floor else 1.0
            move = -eta * calm
            w[i] += move
            s["tau"] = min(1e8, max(1.5, (1 - s["mD"] ** 2 / (s["mD2"] + eps)) * s["tau"] + 1))
            keep = 1 - 1 / s["tau"]
            s["mD"], s["mD2"] = keep * s["mD"] + (1 - keep) * move, keep * s["mD2"] + (1 - keep) * move * move
            s["maD"] = keep * s["maD"] + (1 - keep) * a * move
            s["gp"] = g
        seen.append(list(w))
    return seen


@pytest.mark.parametrize(("clip", "floor", "decay"), [(1.8, True, 0.0), (0.5, False, 0.1)])
def test_adasecant_is_its_slow_twin(clip: float, floor: bool, decay: float) -> None:
    ours = walk("adasecant", 40, gamma_clip=clip, decay=0.9, adagrad_floor=floor, weight_decay=decay)
    assert_near(ours, adasecant_twin(40, clip, 0.9, floor, decay), least_move=0.1)


def test_adasecant_ignores_the_scale_of_the_loss() -> None:
    ends = []
    for scale in (1.0, 1000.0):
        weight = nn.Parameter(torch.tensor(START, dtype=torch.float64))
        optimizer = make("optimizer", "adasecant").build([{"params": [weight]}])
        for step in range(10):
            weight.grad = scale * torch.tensor(gradient(weight.tolist(), step), dtype=torch.float64)
            optimizer.step()
        ends.append(weight.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


def vsgd_twin(steps: int, slow: float, n0: int, weight_decay: float) -> list[list[float]]:
    eps, w, seen = 1e-12, list(START), []
    m, v, h, vh, tau = [0.0] * 4, [0.0] * 4, [0.0] * 4, [0.0] * 4, [float(n0)] * 4

    def grad(at: list[float], step: int) -> list[float]:
        return [g + weight_decay * x for g, x in zip(gradient(at, step), at, strict=True)]

    for step in range(steps):
        g = grad(w, step)
        first = step < n0
        probe = [(m[i] * step + g[i]) / (step + 1) if first else m[i] for i in range(4)]
        there = grad([x + p for x, p in zip(w, probe, strict=True)], step)
        for i in range(4):
            curve = min(1e4, max(1e-4, abs(there[i] - g[i]) / (abs(probe[i]) + eps)))
            if first:
                tau[i], share = float(n0), 1 / (step + 1)
            else:
                wild = (g[i] - m[i]) ** 2 > 4 * max(0.0, v[i] - m[i] ** 2)
                wild = wild or (curve - h[i]) ** 2 > 4 * max(0.0, vh[i] - h[i] ** 2)
                tau[i] += wild
                share = 1 / tau[i]
            m[i] += share * (g[i] - m[i])
            v[i] += share * (g[i] ** 2 - v[i])
            h[i] += share * (curve - h[i])
            vh[i] += share * (curve**2 - vh[i])
            if step == n0 - 1:
                v[i], h[i], vh[i] = slow * v[i], slow * h[i], slow * slow * vh[i]
            if not first:
                r = m[i] ** 2 / (v[i] + eps)
                w[i] -= r * h[i] / vh[i] * g[i]
                tau[i] = (1 - r) * tau[i] + 1
        seen.append(list(w))
    return seen


@pytest.mark.parametrize(("slow", "n0", "decay"), [(2.0, 10, 0.0), (5.0, 3, 0.1), (1.0, 4, 0.0)])
def test_vsgd_is_its_slow_twin(slow: float, n0: int, decay: float) -> None:
    ours = walk("vsgd", 40, closure=True, slow=slow, n0=n0, weight_decay=decay)
    assert ours[n0 - 1] == START, "the first steps only measure"
    assert_near(ours, vsgd_twin(40, slow, n0, decay), least_move=0.1)


def test_vsgd_knows_the_curvature_of_a_bowl_and_takes_newtons_step() -> None:
    weight = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    optimizer = make("optimizer", "vsgd", slow=1.0, n0=2).build([{"params": [weight]}])

    def again() -> None:
        weight.grad = torch.tensor([5.0, 0.1], dtype=torch.float64) * weight.detach()

    for _ in range(3):
        again()
        optimizer.step(again)
    torch.testing.assert_close(optimizer.state[weight]["curve"], torch.tensor([5.0, 0.1], dtype=torch.float64))
    torch.testing.assert_close(weight.detach(), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)


def schedule_free_twin(steps: int, base: str, lr: float, warmup: int, decay: float) -> tuple[list[list[float]], list[float]]:
    x, z, v, weights, seen = list(START), list(START), [0.0] * 4, 0.0, []
    y = list(START)
    for t in range(1, steps + 1):
        g = gradient(y, t - 1)
        rate = lr * min(1.0, t / warmup) if warmup else lr
        weights += rate**2
        c = rate**2 / weights
        for i in range(4):
            v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
            size = math.sqrt(v[i] / (1 - 0.999**t)) + 1e-8 if base == "adamw" else 1.0
            z[i] -= rate * (g[i] / size + decay * y[i])
            x[i] = (1 - c) * x[i] + c * z[i]
            y[i] = 0.1 * z[i] + 0.9 * x[i]
        seen.append(list(y))
    return seen, x


@pytest.mark.parametrize(
    ("base", "lr", "warmup", "decay"), [("adamw", 0.1, 10, 0.0), ("adamw", 0.1, 0, 0.2), ("sgd", 0.5, 4, 0.1)]
)
def test_schedule_free_is_its_slow_twin(base: str, lr: float, warmup: int, decay: float) -> None:
    ours = walk("schedule_free", 30, base=base, lr=lr, warmup_steps=warmup, weight_decay=decay)
    assert_near(ours, schedule_free_twin(30, base, lr, warmup, decay)[0], least_move=0.1)


def test_schedule_free_moves_the_weights_to_the_average_and_back() -> None:
    weight = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = make("optimizer", "schedule_free", lr=0.1, warmup_steps=5).build([{"params": [weight]}])
    optimizer.eval()
    optimizer.train()
    assert weight.tolist() == START, "before the first step the three points are one"
    for step in range(12):
        weight.grad = torch.tensor(gradient(weight.tolist(), step), dtype=torch.float64)
        optimizer.step()
    (twin, average), trained = schedule_free_twin(12, "adamw", 0.1, 5, 0.0), weight.tolist()
    optimizer.eval()
    optimizer.eval()
    assert weight.tolist() == pytest.approx(average, rel=1e-9)
    optimizer.train()
    assert weight.tolist() == trained
    assert average != pytest.approx(twin[-1], rel=1e-3)


def test_a_schedule_free_state_saved_at_the_average_goes_on_where_training_stood() -> None:
    def fresh() -> tuple[nn.Parameter, Any]:
        weight = nn.Parameter(torch.tensor(START))
        return weight, make("optimizer", "schedule_free", lr=0.1, warmup_steps=0).build([{"params": [weight]}])

    def go(weight: nn.Parameter, optimizer: Any, first: int, last: int) -> None:
        for step in range(first, last):
            weight.grad = torch.tensor(gradient(weight.tolist(), step))
            optimizer.step()

    one, straight = fresh()
    go(one, straight, 0, 6)
    straight.eval()
    kept, state = one.detach().clone(), copy.deepcopy(straight.state_dict())
    two, resumed = fresh()
    two.data.copy_(kept)
    resumed.load_state_dict(state)
    straight.train()
    go(one, straight, 6, 9)
    go(two, resumed, 6, 9)
    assert torch.equal(one, two)


def prodigy_twin(steps: int, lr: float, decay: float) -> tuple[list[list[float]], float]:
    w, d, r, seen = list(START), 1e-6, 0.0, []
    m, v, s = [0.0] * 4, [0.0] * 4, [0.0] * 4
    b3 = math.sqrt(0.999)
    for step in range(steps):
        g = gradient(w, step)
        r = b3 * r + (1 - b3) * lr * d**2 * sum(g[i] * (START[i] - w[i]) for i in range(4))
        for i in range(4):
            m[i] = 0.9 * m[i] + 0.1 * d * g[i]
            v[i] = 0.999 * v[i] + 0.001 * d**2 * g[i] ** 2
            s[i] = b3 * s[i] + (1 - b3) * lr * d**2 * g[i]
            w[i] -= lr * d * (m[i] / (math.sqrt(v[i]) + d * 1e-8) + decay * w[i])
        d = max(d, r / sum(map(abs, s)))
        seen.append(list(w))
    return seen, d


@pytest.mark.parametrize(("lr", "decay"), [(1.0, 0.0), (0.5, 0.1)])
def test_prodigy_is_its_slow_twin(lr: float, decay: float) -> None:
    assert_near(walk("prodigy", 120, lr=lr, weight_decay=decay), prodigy_twin(120, lr, decay)[0], least_move=0.1)


def test_prodigys_groups_share_one_estimate() -> None:
    halves = [
        nn.Parameter(torch.tensor(START[:2], dtype=torch.float64)),
        nn.Parameter(torch.tensor(START[2:], dtype=torch.float64)),
    ]
    optimizer = make("optimizer", "prodigy").build([{"params": [half]} for half in halves])
    for step in range(60):
        g = gradient([*halves[0].tolist(), *halves[1].tolist()], step)
        halves[0].grad, halves[1].grad = torch.tensor(g[:2], dtype=torch.float64), torch.tensor(g[2:], dtype=torch.float64)
        optimizer.step()
    seen, estimate = prodigy_twin(60, 1.0, 0.0)
    assert [*halves[0].tolist(), *halves[1].tolist()] == pytest.approx(seen[-1], rel=1e-9)
    assert float(optimizer.state[halves[0]]["d"]) == pytest.approx(estimate, rel=1e-9)


def test_a_prodigy_without_gradients_stays_where_it_is() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = make("optimizer", "prodigy").build([{"params": [weight]}])
    optimizer.step()
    weight.grad = torch.zeros(3)
    optimizer.step()
    assert torch.equal(weight.detach(), torch.ones(3))
