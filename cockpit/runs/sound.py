"""What can be relied on of a run's record, and one sentence on what cannot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import History
from cockpit.runs.log import LineReader
from cockpit.runs.tables import LAYERS, STEPS, read_table, rows_until


@dataclass(frozen=True)
class Record:
    """The part of a run's record that can be read, whole or until a checkpoint."""

    lines: tuple[str, ...]
    """Of the log, those of events that this version does not know included."""
    history: History
    """With the rows that can be relied on; without machine and recipe."""
    gaps: str
    """What cannot be read or is not there, in one sentence; empty: nothing."""


def sound(run: RunDir, *, lines: int | None = None, step: int | None = None) -> Record:
    """A run's record: so many lines of its log, and the rows up to a step; by default all of it.

    Every step has a row. A table whose steps do not rise, or rise far past what the run can have trained, is damaged there,
    and is read until there.
    """
    log = LineReader(run.events).read()[:lines]
    kept, history, reach = _folded(log)
    said = [f"{len(log) - len(kept)} of {len(log)} lines of events.jsonl unreadable"] if len(kept) < len(log) else []
    for name, dtype in (("steps", STEPS), ("layers", LAYERS)):
        rows = read_table(run.table(name), dtype)
        good = rows[: _rising(np.asarray(rows)["step"], reach + len(rows), level=name == "layers")]
        last = int(good["step"][-1]) if len(good) else 0
        if len(good) < len(rows) and (step is None or last < step):
            said.append(f"metrics/{name}.bin damaged after step {last:,}")
        setattr(history, name, good if step is None or not len(good) else good[: rows_until(good, step)])
    missing, total = _without_row(history, step)
    said += [f"{missing:,} of {total:,} steps without a row"] if missing > 0 else []
    return Record(tuple(kept), history, f"run {run.id} has gaps in its record: {', '.join(said)}" if said else "")


def _folded(lines: Sequence[str]) -> tuple[list[str], History, int]:
    """The lines that can be read, their history, and the last step that they speak of, planned or done."""
    kept, history, reach = [], History(), 0
    for line in lines:
        try:
            event = ev.decode(line)
        except (ValueError, TypeError):
            continue
        kept.append(line)
        if event:
            history.fold(event)
            reach = max(reach, event.step, event.total_steps if isinstance(event, ev.Started) else 0)
    return kept, history, reach


def _rising(steps: NDArray[np.int64], highest: int, *, level: bool) -> int:
    """How many steps come before the first that does not rise; with `level`, one may come several times, and 0 counts."""
    rises = steps[1:] >= steps[:-1] if level else steps[1:] > steps[:-1]
    good = (steps >= (0 if level else 1)) & (steps <= highest)
    good[1:] &= rises
    return len(good) if good.all() else int(np.argmin(good))


def _without_row(history: History, step: int | None) -> tuple[int, int]:
    """(steps that were trained and have no row, steps that were trained). A soup was never trained, nor measured before."""
    rows = len(history.steps)
    if not rows and not history.measured:
        return 0, 0
    if step is None:
        step = max(history.step, history.evaluations[-1].step if history.evaluations else 0)
    return step - rows, step
