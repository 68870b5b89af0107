"""Run directories of any length, made in seconds: a short real run, drawn out, with every kind of record a long one has."""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cockpit.launch import new_run
from cockpit.recipe import load
from cockpit.runs import events as ev
from cockpit.runs.calendar import probe_gap
from cockpit.runs.directory import RunDir
from cockpit.runs.log import LineReader, LineWriter
from cockpit.runs.tables import LAYERS, MACHINE, STEPS, Rows, TableWriter, blank

BLOCK = 1_000_000


def draw_out(template: RunDir, root: Path, steps: int, evaluations: int) -> RunDir:
    """A run as the template's host would have left it after so many steps: a loss that falls slowly, with noise and a spike."""
    length = steps // evaluations
    recipe = load("first_flight", (f"train.epochs={evaluations}",))
    run = new_run(recipe, root, f"steps_{steps}", allow_code=False, command=["cockpit", "train"])
    said = [event for line in LineReader(template.events).read() if (event := ev.decode(line))]
    log = LineWriter(run.events)
    for event in _events(said, length, evaluations):
        log.append(ev.encode(event))
    log.close()
    started = next(event for event in said if isinstance(event, ev.Started))
    _tables(run, steps, length, len(started.layers), started.probe_every)
    return run


def _events(said: list[ev.Event], length: int, epochs: int) -> list[ev.Event]:
    """Those of the template, with an evaluation, the best and the last checkpoint an epoch, and a finding now and then."""
    launched, started, measured = said[:3]
    assert isinstance(started, ev.Started)
    seen = next(event for event in said if isinstance(event, ev.Evaluated))
    chosen = np.random.default_rng(0)
    drawn: list[ev.Event] = [
        launched,
        replace(started, steps_per_epoch=length, total_steps=length * epochs, epochs=epochs, warmup_steps=length),
        measured,
    ]
    for epoch in range(1, epochs + 1):
        step, share = epoch * length, 1 - math.exp(-3 * epoch / epochs)
        loss, accuracy = 2.3 - 2.2 * share + 0.01 * chosen.random(), 0.1 + 0.85 * share + 0.01 * chosen.random()
        scores = dict.fromkeys(seen.scores, accuracy)
        drawn.append(
            replace(
                seen, step=step, epoch=epoch, train_loss=loss, val_loss=loss + 0.05, train_accuracy=accuracy,
                val_accuracy=accuracy - 0.01, best=bool(chosen.random() < 0.3), scores=scores, t=time.time(),
            )
        )  # fmt: skip
        drawn += [ev.Checkpointed(step=step, path=f"checkpoints/{which}.pt", reason=which) for which in ("best", "last")]
        if epoch % 50 == 10:
            drawn.append(
                ev.Flagged(
                    id="oscillating",
                    severity="warning",
                    step=step,
                    epoch=float(epoch),
                    headline="the loss swings",
                    why="It does.",
                )
            )
        if epoch % 50 == 30:
            drawn.append(ev.Cleared(id="oscillating", step=step))
    return [*drawn, ev.Ended(state="finished", step=length * epochs, epoch=float(epochs))]


def _tables(run: RunDir, steps: int, length: int, layers: int, every: int) -> None:
    writers = {name: TableWriter(run.table(name), kind) for name, kind in (("steps", STEPS), ("layers", LAYERS))}
    for first in range(1, steps + 1, BLOCK):
        at = np.arange(first, min(first + BLOCK, steps + 1))
        rows = _steps(at, steps)
        measured = at[(at <= 20) | (at % every == 0) & (at <= 100 * every) | (at % probe_gap(every, steps) == 0)]
        unmeasured = np.isin(at, measured, invert=True, assume_unique=True)
        rows["grad_norm"][unmeasured] = rows["update_ratio"][unmeasured] = np.nan
        writers["steps"].append(rows)
        writers["layers"].append(_layers(at, measured, length, layers))
    machine = TableWriter(run.table("machine"), MACHINE)
    machine.append(_machine(steps // 1000))
    for writer in (*writers.values(), machine):
        writer.close()


def _steps(at: np.ndarray, steps: int) -> Rows:
    rows, noise = blank(len(at), STEPS), np.random.default_rng(int(at[0]))
    share = 1 - np.exp(-3 * at / steps)
    rows["step"], rows["time"], rows["speed"], rows["held"], rows["stale"] = at, at * 0.002, 500, 0, 0
    rows["loss"] = 2.3 - 2.2 * share + 0.1 * noise.random(len(at), np.float32)
    rows["loss"][at % (steps // 10) == 7] = 9
    rows["accuracy"], rows["lr"] = 0.1 + 0.85 * share, 0.05 * (1 - at / steps / 2)
    rows["grad_norm"], rows["update_ratio"], rows["probing"] = 1 + noise.random(len(at), np.float32), 1e-3, 2e-5
    return rows


def _layers(at: np.ndarray, measured: np.ndarray, length: int, layers: int) -> Rows:
    """Norms on measured steps, and what is counted at each evaluation, in the order of the steps."""
    norms = blank((len(measured), layers), LAYERS)
    norms["step"], norms["layer"] = measured[:, None], np.arange(layers)
    norms["grad_norm"], norms["weight_norm"], norms["update_ratio"] = 0.5, 10, 1e-3
    ends = at[at % length == 0]
    counted = blank((len(ends), layers), LAYERS)
    counted["step"], counted["layer"] = ends[:, None], np.arange(layers)
    counted["weight_std"], counted["alike"], counted["dead"] = 0.05, 0.01, 0.02
    whole = np.concatenate([norms.ravel(), counted.ravel()])
    return whole[np.argsort(whole["step"], kind="stable")]


def _machine(count: int) -> Rows:
    rows = blank(count, MACHINE)
    rows["time"], rows["cpu"], rows["memory"], rows["rss"] = 1.7e9 + 2 * np.arange(count), 90, 40, 5e8
    return rows
