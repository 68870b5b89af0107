"""The pen of a run: every event and row goes through here to the disk, to the history, and to the flags."""

import math
import os
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cockpit.diagnosis import Flag
from cockpit.engine.backlog import Backlog
from cockpit.flags._shared import settled
from cockpit.judge import Judge
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import History, RunReader
from cockpit.runs.log import LineWriter, complain, flush
from cockpit.runs.tables import HEAD, LAYERS, STEPS, Rows, TableWriter, orderly, read_table, rows_until, write_table

E = TypeVar("E", bound=ev.Event)
KEPT = {"steps": STEPS, "layers": LAYERS}


class NonFiniteLossError(FloatingPointError):
    """The loss left the numbers; the text says at which step."""


class Logbook:
    """Owned by the training thread. A full disk costs records, never the training."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self._judging = 0.0
        """Seconds that the last look of the flags took."""
        self._synced = -math.inf
        self._begun_safely = False
        """What was there before the host is on the disk as well."""
        self._lines = LineWriter(run.events)
        self._tables = {name: TableWriter(run.table(name), dtype) for name, dtype in KEPT.items()}
        self._backlog = Backlog(
            {
                "lines": self._lines.append,
                "steps": lambda rows: self._tables["steps"].append(rows),
                "layers": lambda rows: self._tables["layers"].append(rows),
            },
            complain,
        )
        reader = RunReader(run)
        reader.poll()
        self.history = reader.history
        self._flags: tuple[Flag, ...] = ()
        self._judge = Judge((), self.history)
        self._risen: list[ev.Flagged] = []

    def write(self, event: E) -> E:
        """Stamp an event, append it, fold it into the history."""
        event = replace(event, t=time.time())
        self._put("lines", ev.encode(event))
        self.history.fold(event)
        return event

    def rewind(self, step: int, checkpoint: str) -> None:
        """Go back to the checkpoint of a step: later rows go, later events no longer count."""
        self._drop_rows_after(step)
        self.write(ev.Resumed(step=step, checkpoint=checkpoint))
        self._refresh()

    def _drop_rows_after(self, step: int) -> None:
        self._backlog.forget_after(step)
        for name, dtype in KEPT.items():
            self._tables[name].close()
            _cut(self.run.table(name), dtype, step)
            self._tables[name] = TableWriter(self.run.table(name), dtype)

    def watch_with(self, flags: Iterable[Flag]) -> None:
        """Let these flags judge from here on; what was recorded before is judged silently, so that they know it."""
        self._flags = tuple(flags)
        for gone in self.history.active.keys() - {flag.card.name for flag in self._flags}:
            self.write(ev.Cleared(step=self.history.step, id=gone))  # nobody looks any more whether it holds
        self._judge = Judge(self._flags, self.history, self._flag_failed)
        self._judge.catch_up()
        self._risen.clear()

    @property
    def rising(self) -> bool:
        """Whether `risen` has something to tell."""
        return bool(self._risen)

    def risen(self) -> list[ev.Flagged]:
        """The findings that rose since the last call."""
        risen, self._risen = self._risen, []
        return risen

    @property
    def well(self) -> bool:
        """Whether the run may come back to where it stands: its numbers are numbers, and no flag sees a sign of illness.

        Stricter than the findings, which wait for several signs: a network that is about to be found ill is no refuge. In
        the first steps most flags do not look yet, and nothing is known to be well.
        """
        if not settled(self.history) or any(not math.isfinite(seen.val_loss) for seen in self.history.evaluations[-1:]):
            return False
        if any(found.severity != "info" for found in self.history.active.values()):
            return False
        signs = (self._judge.sign(flag, self.history) for flag in self._flags if flag.moment != "start")
        return not any(sign and sign.severity != "info" for sign in signs)

    def unseen(self, flag: str, step: int) -> bool:
        """Whether a flag saw nothing when this step was done, not even something to note."""
        now = self.history
        then = History(
            started=now.started,
            measured=now.measured,
            evaluations=[seen for seen in now.evaluations if seen.step <= step],
            edits=[edit for edit in now.edits if edit.step <= step],
            steps=np.asarray(now.steps)[: rows_until(now.steps, step)],
            layers=np.asarray(now.layers)[: rows_until(now.layers, step)],
            recipe=now.recipe,
        )
        return not any(self._judge.sign(each, then) for each in self._flags if each.card.name == flag)

    def _flag_failed(self, flag: str, error: Exception) -> None:
        """A fault of ours: said once, and the run goes on without the flag."""
        with suppress(OSError), open(self.run.log, "a", encoding="utf-8", errors="backslashreplace") as log:
            traceback.print_exception(error, file=log)
        text = f"the flag {flag} failed and looks no more: {type(error).__name__}: {error}; the traceback is in host.log"
        self.write(ev.Noted(step=self.history.step, level="warning", text=text))

    def last_look(self) -> None:
        """Let the flags see what came since their last look, as at the end of a run: what one look proves is found."""
        self._say(self._judge.final())

    def measured(self, event: ev.Measured, layer_rows: Rows) -> None:
        """The network before its first step."""
        if len(self.history.layers):  # a host that was killed before its first checkpoint of a step had measured it already
            self._drop_rows_after(-1)
        self._put_rows("layers", layer_rows)
        self._refresh()
        self.write(event)
        self._say(self._judge.start())

    def rows(self, step_rows: Rows, layer_rows: Rows) -> None:
        """Steps that were trained."""
        if len(step_rows):
            step_rows["probing"][-1] += self._judging  # of the rows before: judging these comes after writing them
        self._put_rows("steps", step_rows)
        self._put_rows("layers", layer_rows)
        self._refresh()
        began = time.perf_counter()
        self._say(self._judge.rows())
        self._judging = time.perf_counter() - began

    def deliver(self, step_rows: Rows, layer_rows: Rows) -> None:
        """Rows from the recorder. Raises NonFiniteLossError once they are on the disk: no later step could mend it.

        Steps that were held back did no harm.
        """
        self.rows(step_rows, layer_rows)
        lost = step_rows[~np.isfinite(step_rows["loss"]) & ~(step_rows["held"] > 0)]
        if len(lost):
            raise NonFiniteLossError(f"the loss became {lost['loss'][0]} at step {lost['step'][0]}")

    @property
    def trained_seconds(self) -> float:
        """Training time recorded so far."""
        return float(self.history.steps["time"][-1]) if len(self.history.steps) else 0.0

    def evaluated(self, event: ev.Evaluated, layer_rows: Rows) -> None:
        """An evaluation; the rows up to its step must be in."""
        self._put_rows("layers", layer_rows)
        self._refresh()
        self.write(event)
        self._say(self._judge.evaluation())

    def ended(self, event: ev.Ended) -> None:
        """The last word."""
        self._say(self._judge.final())
        self.write(event)
        if self._backlog:
            complain(f"{len(self._backlog):,} records of the run are lost: the run directory did not take them until the end")
        self.close()

    def sync(self) -> None:
        """Wait until the disk has all that was written."""
        if not self._begun_safely:
            self._begun_safely = True
            run = self.run
            for path in (run.recipe, run.launch, run.path / "metrics", run.path, run.path.parent):
                flush(path)  # without them no checkpoint is of use
        if time.monotonic() - self._synced < 5:
            return  # runs of short epochs would wait for little else
        self._synced = time.monotonic()
        with suppress(OSError):
            self._lines.flush()
            for table in self._tables.values():
                table.flush()

    def close(self) -> None:
        """Close the files: another host goes on."""
        self._lines.close()
        for table in self._tables.values():
            table.close()

    def _put_rows(self, table: str, rows: Rows) -> None:
        if len(rows):
            self._put(table, rows)

    def _put(self, name: str, record: str | Rows) -> None:
        relief = self._backlog.put(name, record)
        if relief:
            self.write(ev.Noted(step=self.history.step, level="warning", text=relief))

    def _refresh(self) -> None:
        self.history.steps = np.asarray(read_table(self.run.table("steps"), STEPS))
        self.history.layers = np.asarray(read_table(self.run.table("layers"), LAYERS))

    def _say(self, findings: Iterable[ev.Event]) -> None:
        for finding in findings:
            self.write(finding)
            if isinstance(finding, ev.Flagged):
                self._risen.append(finding)


def _cut(path: Path, dtype: np.dtype[Any], step: int) -> None:
    """Drop the rows of later steps."""
    whole = read_table(path, dtype)
    rows = orderly(whole)
    keep = rows_until(rows, step) if len(rows) else 0
    if keep == len(whole):
        return
    try:
        write_table(path, rows[:keep])
    except OSError:  # a full disk: better in place than not at all
        os.truncate(path, HEAD + keep * dtype.itemsize)
