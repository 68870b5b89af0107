"""Writes run directories from canned events, for the tests of the screen. Numbers are made, clocks stand still."""

import json
import os
from pathlib import Path

import numpy as np

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.log import LineWriter, append_json
from cockpit.runs.state import State, beat
from cockpit.runs.tables import LAYERS, MACHINE, STEPS, TableWriter, blank

NOW = 1_767_322_000.0
STEPS_PER_EPOCH, EPOCHS = 420, 10
RECIPE = """
about: canned
data: {source: digits, val: 0.1}
model: {name: small_cnn, activation: relu, init: he_normal, norm: batch}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
schedule: {name: cosine, warmup_epochs: 1}
train: {epochs: 10, batch_size: 128, device: cpu}
tricks:
  mixup: {alpha: 0.2}
"""
NAMES = ("features.0", "features.3", "features.6", "head.1")
CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")


def started() -> ev.Started:
    facts = ev.DataFacts(
        source="fashion_mnist", classes=CLASSES, channels=1, height=28, width=28, train=54_000, val=6_000, test=10_000,
        train_counts=(5400,) * 10, val_counts=(600,) * 10, mean=(0.286,), std=(0.353,), duplicates={"train_test": 10},
    )  # fmt: skip
    return ev.Started(
        t=NOW - 300, device="cpu", precision="fp32", params=421_642, data=facts, plan={"batch": ["mixup"]},
        layers=tuple(ev.Layer(name=name, kind="Conv2d", shape=(32, 1, 3, 3), params=320) for name in NAMES),
        steps_per_epoch=STEPS_PER_EPOCH, total_steps=STEPS_PER_EPOCH * EPOCHS, epochs=EPOCHS, batch_size=128,
    )  # fmt: skip


def overfitting(step: int) -> ev.Flagged:
    return ev.Flagged(
        t=NOW - 60, step=step, id="overfitting", severity="warning", epoch=step / STEPS_PER_EPOCH,
        headline="validation loss stands 12 % above its best of epoch 4",
        why="The network now learns what is particular to the training images.",
        evidence={"val_loss": 0.362, "best_val_loss": 0.323, "evaluations": 3},
        remedies=(
            ev.Remedy(label="stop and keep the best weights", verb="stop"),
            ev.Remedy(label="smooth the labels", edits=(("tricks.label_smoothing.epsilon", "0.1"),), since="start"),
            ev.Remedy(label="lower the learning rate to 0.005", edits=(("optimizer.lr", "0.005"),), since="before"),
            ev.Remedy(label="decay the weights", edits=(("optimizer.weight_decay", "0.0005"),)),
        ),
    )  # fmt: skip


def story(epochs: int) -> list[ev.Event]:
    """The events of a run that has done so many epochs and overfits from the fifth on."""
    said: list[ev.Event] = [
        ev.Launched(t=NOW - 310, pid=os.getpid(), host="testhost"),
        started(),
        ev.Measured(t=NOW - 299, samples=512, loss=2.31, expected_loss=2.303, accuracy=0.1),
    ]
    for epoch in range(1, epochs + 1):
        step = epoch * STEPS_PER_EPOCH
        val = 0.55 * np.exp(-epoch / 2) + 0.25 + 0.012 * max(0, epoch - 4) ** 1.5
        train = 0.9 * np.exp(-epoch / 2.5) + 0.05
        said.append(
            ev.Evaluated(
                t=NOW - 300 + epoch * 30, step=step, epoch=epoch, train_loss=train, train_accuracy=1 - train / 3, val_loss=val,
                val_accuracy=1 - val / 3.4, probe_size=2000, val_size=6000, best=epoch <= 4,
            )
        )  # fmt: skip
    if epochs >= 3:
        said.append(ev.Edited(step=3 * STEPS_PER_EPOCH, path="optimizer.lr", old="0.1", new="0.05", live=True))
    if epochs >= 7:
        early = ev.Flagged(step=400, id="dead_relu", severity="info", epoch=0.95, headline="11 % of head.1 are dead")
        said += [early, ev.Cleared(step=1200, id="dead_relu"), overfitting(7 * STEPS_PER_EPOCH)]
        said.append(ev.Checkpointed(step=4 * STEPS_PER_EPOCH, path="checkpoints/best.pt", reason="best"))
        said.append(ev.Checkpointed(step=4 * STEPS_PER_EPOCH, path="checkpoints/healthy.pt", reason="healthy"))
    return said


def write_run(
    root: Path,
    *,
    epochs: float = 7,
    state: State | None = "running",
    more: tuple[ev.Event, ...] = (),
    name: str = "fashion_cnn",
) -> RunDir:
    """A run directory after so many epochs; `state` is the heartbeat of this living process, None writes none."""
    run = RunDir(root / f"2026-01-02_030405_{name}_7f3a")
    for folder in (run.path, run.path / "metrics", run.path / "checkpoints", run.mailbox):
        folder.mkdir(parents=True, exist_ok=True)
    run.recipe.write_text(RECIPE, encoding="utf-8")
    run.launch.write_text(json.dumps({"allow_code": False, "command": []}), encoding="utf-8")
    tell(run, *(story(int(epochs)) if epochs else ()), *more)
    _tables(run, int(epochs * STEPS_PER_EPOCH))
    if state:
        beat(run.heartbeat, state, int(epochs * STEPS_PER_EPOCH))
    return run


def tell(run: RunDir, *events: ev.Event) -> None:
    """Append events, as the host would."""
    lines = LineWriter(run.events)
    for event in events:
        lines.append(ev.encode(event))
    lines.close()


def look(run: RunDir, accuracy: float) -> None:
    """Write a look at the sealed test set into the ledger."""
    told = {"t": NOW, "step": 1, "epoch": 1, "weights": "best", "accuracy": accuracy, "loss": 0.3, "count": 10_000}
    append_json(run.ledger, told)


def _tables(run: RunDir, steps: int) -> None:
    rng = np.random.default_rng(0)
    at = np.arange(1, steps + 1)
    rows = blank(steps, STEPS)
    rows["step"], rows["time"], rows["probing"] = at, at / 120, 0.007 / 120
    rows["loss"] = 0.15 + 2.1 * np.exp(-at / 500) * rng.uniform(0.7, 1.3, steps) + rng.normal(0, 0.03, steps)
    rows["accuracy"] = np.clip(1 - rows["loss"] / 2.6, 0, 1)
    rows["lr"] = 0.05 * 0.5 * (1 + np.cos(np.pi * at / (STEPS_PER_EPOCH * EPOCHS))) * np.minimum(1, at / STEPS_PER_EPOCH)
    sampled = at % 10 == 0
    rows["grad_norm"] = np.where(sampled, 1 + rng.exponential(0.3, steps), np.nan)
    rows["update_ratio"] = np.where(sampled, 1e-3 * rng.uniform(0.8, 1.2, steps), np.nan)
    rows["speed"] = 120 + rng.normal(0, 4, steps)
    layers = blank(len(NAMES) * (steps // 40), LAYERS)
    layers["step"] = np.repeat(np.arange(40, steps + 1, 40), len(NAMES))[: len(layers)]
    layers["layer"] = np.tile(np.arange(len(NAMES)), steps // 40)
    layers["grad_norm"] = rng.lognormal(-2, 0.6, len(layers))
    layers["weight_std"], layers["update_ratio"] = 0.08, 1.2e-3
    layers["dead"] = np.choose(layers["layer"], (0.02, 0.41, 0.0, np.nan))
    layers["saturated"] = np.choose(layers["layer"], (np.nan, np.nan, np.nan, 0.71))
    machine = np.zeros(1 if steps else 0, MACHINE)
    machine["cpu"], machine["memory"], machine["rss"] = 61, 38, 1.2e9
    machine["gpu"] = machine["gpu_memory"] = machine["gpu_temperature"] = machine["gpu_power"] = np.nan
    for name, table, dtype in (("steps", rows, STEPS), ("layers", layers, LAYERS), ("machine", machine, MACHINE)):
        writer = TableWriter(run.table(name), dtype)
        writer.append(table)
        writer.close()
