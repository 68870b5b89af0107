"""Builds histories from the canned series of tests/flags/*.yaml.

A series is a number, a list of [x, value] knots (straight lines between them), or, for evaluations, a plain list.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cockpit.runs.events import DataFacts, Edited, Ended, Evaluated, Layer, Measured, Started
from cockpit.runs.history import History
from cockpit.runs.tables import LAYERS, STEPS, Rows

FOLDER = Path(__file__).parent / "flags"
LN10 = 2.302585
DEFAULTS: dict[str, Any] = {
    "steps": 400,
    "steps_per_epoch": 20,
    "total_steps": None,
    "warmup_steps": 0,
    "probe_every": 10,
    "layers": 4,
    "chance_loss": LN10,
    "loss_floor": 0.0,
    "chance_accuracy": 0.1,
    "probe_size": 512,
    "val_size": 1000,
}


def cases() -> list[dict[str, Any]]:
    """Every case of every file; a case judges the flag its file is named after unless it says `flags`."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text(encoding="utf-8")):
            found.append({"flags": [path.stem], "file": path.stem, **case})
    return found


def series(said: Any, at: np.ndarray) -> np.ndarray:
    if isinstance(said, list) and said and isinstance(said[0], list):
        knots = np.array(said, float)
        return np.interp(at, knots[:, 0], knots[:, 1])
    if isinstance(said, list):
        return np.array(said + [said[-1]] * (len(at) - len(said)), float)[: len(at)]
    return np.full(len(at), float(said))


def history(case: dict[str, Any]) -> History:
    run = DEFAULTS | case.get("run", {})
    started = _started(run)
    steps = _steps(case, run)
    evaluations = _evaluations(case, run)
    measured = {"samples": 512, "loss": run["chance_loss"], "expected_loss": run["chance_loss"], "accuracy": 0.1}
    return History(
        started=started,
        measured=Measured(**(measured | case.get("measured", {}))),
        evaluations=evaluations,
        steps=steps,
        layers=_layers(case, run, steps, evaluations),
        recipe=case.get("recipe", {}),
        edits=[Edited(old="", live=True, **edit) for edit in case.get("edits", [])],
        ended=Ended(state="finished"),
    )


def _started(run: dict[str, Any]) -> Started:
    data = DataFacts(
        source="digits", classes=tuple("0123456789"), channels=1, height=8, width=8, train=run["steps_per_epoch"] * 128,
        val=run["val_size"], test=100, train_counts=(100,) * 10, val_counts=(10,) * 10, mean=(0.5,), std=(0.3,),
    )  # fmt: skip
    total = run["total_steps"] or run["steps"]
    return Started(
        device="cpu", precision="fp32", params=400, data=data, plan={}, steps_per_epoch=run["steps_per_epoch"],
        layers=tuple(Layer(name=f"fc{n + 1}", kind="Linear", shape=(10, 10), params=100) for n in range(run["layers"])),
        total_steps=total, epochs=total // run["steps_per_epoch"], batch_size=128, warmup_steps=run["warmup_steps"],
        probe_every=run["probe_every"], chance_loss=run["chance_loss"], loss_floor=run["loss_floor"],
        chance_accuracy=run["chance_accuracy"],
    )  # fmt: skip


def _steps(case: dict[str, Any], run: dict[str, Any]) -> Rows:
    rows = np.zeros(run["steps"], STEPS)
    at = rows["step"] = np.arange(1, run["steps"] + 1)
    random = np.random.default_rng(zlib.crc32(case["name"].encode()))
    noise = random.normal(0, case.get("noise", 0.0), len(at))
    rows["loss"] = series(case.get("loss", [[1, LN10], [run["steps"], 0.3]]), at) + noise
    rows["accuracy"] = np.nan
    rows["lr"] = series(case.get("lr", 0.1), at)
    measured = (at <= 20) | (at % run["probe_every"] == 0)
    norms = series(case.get("grad_norm", 1.0), at)
    rows["grad_norm"] = np.where(measured, norms, np.nan)
    rows["update_ratio"] = np.where(measured, 1e-3, np.nan)
    for step, name, value in case.get("lost", []):
        rows[name][step - 1] = float(value)
    return rows


def _evaluations(case: dict[str, Any], run: dict[str, Any]) -> list[Evaluated]:
    epochs = np.arange(1, run["steps"] // run["steps_per_epoch"] + 1)
    said = case.get("evaluations", {})
    plain = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    columns = {name: series(said.get(name, value), epochs) for name, value in plain.items()}
    jitter = np.random.default_rng(zlib.crc32(case["name"].encode()) + 1).normal(0, 1, (2, len(epochs)))
    columns["val_loss"] = columns["val_loss"] + said.get("loss_noise", 0.0) * jitter[0]
    columns["val_accuracy"] = columns["val_accuracy"] + said.get("accuracy_noise", 0.0) * jitter[1]
    return [
        Evaluated(
            step=int(epoch) * run["steps_per_epoch"], epoch=int(epoch), probe_size=run["probe_size"],
            val_size=run["val_size"], best=False, **{name: float(column[place]) for name, column in columns.items()},
        )
        for place, epoch in enumerate(epochs)
    ]  # fmt: skip


def _layers(case: dict[str, Any], run: dict[str, Any], steps: Rows, evaluations: list[Evaluated]) -> Rows:
    count, tables = run["layers"], []
    grads = [series(said, steps["step"]) for said in case.get("layer_grads", [1.0] * count)]
    for place in np.flatnonzero(~np.isnan(steps["update_ratio"])):
        rows = np.full(count, 0, LAYERS)
        rows["step"], rows["layer"] = steps["step"][place], np.arange(count)
        rows["grad_norm"] = [grad[place] for grad in grads]
        rows["weight_norm"], rows["weight_std"], rows["update_ratio"], rows["dead"] = 10.0, 0.1, 1e-3, np.nan
        tables.append(rows)
    for place, seen in enumerate(evaluations):
        rows = np.full(count - 1, 0, LAYERS)
        rows["step"], rows["layer"] = seen.step, np.arange(count - 1)
        for name in ("grad_norm", "weight_norm", "weight_std", "update_ratio"):
            rows[name] = np.nan
        epochs = np.arange(1, len(evaluations) + 1)
        rows["dead"] = [series(said, epochs)[place] for said in case.get("dead", [0.1] * (count - 1))]
        tables.append(rows)
    layers = np.concatenate(tables)
    return layers[np.lexsort((~np.isnan(layers["dead"]), layers["step"]))]
