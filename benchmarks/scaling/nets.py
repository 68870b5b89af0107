"""What measuring and judging cost with many layers."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from cockpit.catalog import flags
from cockpit.engine.probes import LayerProbe, layers_of
from cockpit.engine.units import unit_rows, watch_activity
from cockpit.judge import Judge
from cockpit.runs.events import Layer
from cockpit.runs.history import History
from cockpit.runs.tables import LAYERS, blank
from cockpit.ui.model.layers import layers

LOOKS = 50
torch.set_num_threads(1)


def milliseconds(work: Callable[[], object], times: int = 5) -> float:
    """The median of a few turns, after one to warm up."""
    taken = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return float(np.median(taken[1:]))


def instruments(count: int) -> list[tuple[str, float]]:
    """Milliseconds of one step of a line of small layers, of a measurement, and of a count of units."""
    model = nn.Sequential(*(each for _ in range(count) for each in (nn.Linear(16, 16), nn.ReLU())))
    x = torch.randn(64, 16)
    step = milliseconds(lambda: model(x).sum().backward())
    probe, grads = LayerProbe([weight for _, weight in layers_of(model)], 10), [weight.grad for weight in model.parameters()]

    def look() -> None:
        with watch_activity(model) as activity, torch.no_grad():
            model(x)
        unit_rows(model, activity, 0)

    measured = milliseconds(lambda: (probe.before([grad for grad in grads if grad is not None]), probe.after()))
    return [("forward and backward", step), ("a measurement (every 10, later every 50 steps)", measured),
            ("a count of units (every evaluation)", milliseconds(look))]  # fmt: skip


def judged(history: History, count: int) -> list[tuple[str, float]]:
    """Milliseconds of a look of all flags late in a run with so many layers, and of the rows of its pane."""
    assert history.started
    steps = history.steps[: int(history.step)]
    at = steps["step"][~np.isnan(steps["grad_norm"])][-400:]
    rows = blank((len(at), count), LAYERS)
    rows["step"], rows["layer"] = at[:, None], np.arange(count)
    rows["grad_norm"], rows["weight_norm"], rows["update_ratio"] = 0.1, 10, 1e-3
    made = tuple(Layer(name=f"layer{n}", kind="Linear", shape=(16, 16), params=256) for n in range(count))
    wide = replace(history, started=replace(history.started, layers=made), layers=rows.ravel())
    judge = Judge([card.cls() for card in flags().values()], wide)
    judge._looked, judge._evaluations = history.step - 100 * LOOKS, len(history.evaluations)
    begun = time.perf_counter()
    judge.rows()
    return [
        ("a look of all flags (every 100 steps)", (time.perf_counter() - begun) * 1000 / LOOKS),
        ("the rows of the pane", milliseconds(lambda: layers(wide))),
    ]
