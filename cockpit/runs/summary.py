"""One run in one plain object: what `show --json` prints and `runs` lists."""

import math
from typing import Any

import numpy as np

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import History, RunReader
from cockpit.runs.log import read_json
from cockpit.runs.queue import in_queue
from cockpit.runs.remedies import applied, silenced
from cockpit.runs.tables import Rows

PROBED = 2000
"""Steps over which the cost of the probes is averaged."""


def summarise(run: RunDir) -> dict[str, Any]:
    """Plain JSON data; unknown numbers are None."""
    reader = RunReader(run)
    reader.poll()
    history, facts, state = reader.history, reader.history.started, reader.state
    return {
        "id": run.id,
        "name": run.name,
        "dir": str(run.path),
        "state": state,
        "queue": in_queue(run, state),
        "reason": history.ended.reason if history.ended else "",
        "released": history.released and state == "paused",
        "step": history.step,
        "epoch": _number(history.epoch),
        "epochs": facts.epochs if facts else None,
        "seconds": _number(float(history.steps["time"][-1])) if len(history.steps) else 0.0,
        "device": facts.device if facts else None,
        "params": facts.params if facts else None,
        "images": facts.data.home if facts else "",
        "probes": _number(probing(history.steps)),
        "best": _best(history),
        "last": _last(history),
        "flags": flag_list(history),
        "notes": [note.text for note in history.notes],
        "test": looks(run),
    }


def probing(steps: Rows) -> float:
    """The share of the training time that measuring and judging took, over the last steps; NaN where it was not recorded."""
    rows = steps[-PROBED:]
    spent = float(rows["time"][-1] - rows["time"][0]) if len(rows) > 1 else 0.0
    share = float(np.nansum(rows["probing"][1:])) / spent if spent > 0 and not np.isnan(rows["probing"]).all() else math.nan
    return min(share, 1.0)


def looks(run: RunDir) -> dict[str, Any]:
    """How often the sealed test set was scored, and the last accuracy."""
    ledger = read_json(run.ledger)
    accuracy = ledger[-1].get("accuracy") if ledger else None
    return {"looks": len(ledger), "accuracy": _number(accuracy) if isinstance(accuracy, float) else None}


def flag_list(history: History) -> list[dict[str, Any]]:
    """Every rise, oldest first, with the step at which it cleared or was silenced; of those that stand, the ways out."""
    rises: list[dict[str, Any]] = []
    for found in history.findings:
        if isinstance(found, ev.Flagged):
            rise = {key: getattr(found, key) for key in ("id", "severity", "step", "headline")}
            stands = found is history.active.get(found.id)
            ways = [_way(history, found.id, remedy) for remedy in found.remedies] if stands else []
            rises.append({**rise, "epoch": _number(found.epoch), "cleared_step": None, "silenced": False, "remedies": ways})
        else:
            for rise in rises:
                if rise["id"] == found.id and rise["cleared_step"] is None:
                    rise.update(cleared_step=found.step, silenced=silenced(history, found.id, found.step))
    return rises


def _way(history: History, flag: str, remedy: ev.Remedy) -> dict[str, Any]:
    done = applied(history, flag, remedy)
    plain = {"label": remedy.label, "edits": [list(edit) for edit in remedy.edits], "verb": remedy.verb, "since": remedy.since}
    return {**plain, "applied_step": done.step if done else None}


def _best(history: History) -> dict[str, Any] | None:
    best = history.best
    if best is None:
        return None
    return {
        "epoch": best.epoch,
        "val_accuracy": _number(best.val_accuracy),
        "val_loss": _number(best.val_loss),
        "weights": best.weights,
        "score": best.score,
        "plain_accuracy": None if best.plain_accuracy is None else _number(best.plain_accuracy),
        "scores": {name: _number(score) for name, score in best.scores.items()},
    }


def _last(history: History) -> dict[str, Any] | None:
    if not history.evaluations or not len(history.steps):
        return None
    seen, row = history.evaluations[-1], history.steps[-1]
    scores = {key: _number(getattr(seen, key)) for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")}
    return {**scores, "lr": _number(float(row["lr"])), "steps_per_s": _number(float(row["speed"]))}


def _number(value: float | str) -> float | None:
    """None for what is not known; a log has it as a word."""
    return value if not isinstance(value, str) and math.isfinite(value) else None
