"""The pen of a run: every event and row goes through here to the disk, to the history, and to the flags."""

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from cockpit.diagnosis import Flag
from cockpit.judge import Judge
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader
from cockpit.runs.log import LineWriter
from cockpit.runs.tables import LAYERS, STEPS, Rows, TableWriter, read_table

E = TypeVar("E", bound=ev.Event)


class NonFiniteLossError(Exception):
    """The loss left the numbers; the text says at which step."""


class Logbook:
    """Owned by the training thread. A full disk costs records, never the training."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self._complained = False
        self._judging = 0.0
        """Seconds that the last look of the flags took."""
        self._lines = LineWriter(run.events)
        self._steps = TableWriter(run.table("steps"), STEPS)
        self._layers = TableWriter(run.table("layers"), LAYERS)
        reader = RunReader(run)
        reader.poll()
        self.history = reader.history
        self._judge = Judge((), self.history)

    def write(self, event: E) -> E:
        """Stamp an event, append it, fold it into the history."""
        event = replace(event, t=time.time())
        try:
            self._lines.append(ev.encode(event))
        except OSError as error:
            self._complain(error)
        self.history.fold(event)
        return event

    def rewind(self, step: int, checkpoint: str) -> None:
        """Go back to the checkpoint of a step: later rows go, later events no longer count."""
        self._steps.cut_after(step)
        self._layers.cut_after(step)
        self.write(ev.Resumed(step=step, checkpoint=checkpoint))
        self._refresh()

    def watch_with(self, flags: Iterable[Flag]) -> None:
        """Let these flags judge from here on; what was recorded before is judged silently, so that they know it."""
        self._judge = Judge(flags, self.history)
        self._judge.catch_up()

    def measured(self, event: ev.Measured, layer_rows: Rows) -> None:
        """The network before its first step."""
        self._append(self._layers, layer_rows)
        self.write(event)
        self._say(self._judge.start())

    def rows(self, step_rows: Rows, layer_rows: Rows) -> None:
        """Steps that were trained."""
        if len(step_rows):
            step_rows["probing"][-1] += self._judging  # of the rows before: judging these comes after writing them
        self._append(self._steps, step_rows)
        self._append(self._layers, layer_rows)
        began = time.perf_counter()
        self._say(self._judge.rows())
        self._judging = time.perf_counter() - began

    def deliver(self, step_rows: Rows, layer_rows: Rows) -> None:
        """Rows from the recorder. Raises NonFiniteLossError once they are on the disk: no later step could mend it."""
        self.rows(step_rows, layer_rows)
        lost = step_rows[~np.isfinite(step_rows["loss"])]
        if len(lost):
            raise NonFiniteLossError(f"the loss became {lost['loss'][0]} at step {lost['step'][0]}")

    @property
    def trained_seconds(self) -> float:
        """Training time recorded so far."""
        return float(self.history.steps["time"][-1]) if len(self.history.steps) else 0.0

    def evaluated(self, event: ev.Evaluated, layer_rows: Rows) -> None:
        """An evaluation; the rows up to its step must be in."""
        self._append(self._layers, layer_rows)
        self.write(event)
        self._say(self._judge.evaluation())

    def ended(self, event: ev.Ended) -> None:
        """The last word."""
        self._say(self._judge.final())
        self.write(event)
        for file in (self._lines, self._steps, self._layers):
            file.close()

    def _append(self, table: TableWriter, rows: Rows) -> None:
        if len(rows):
            try:
                table.append(rows)
            except OSError as error:
                self._complain(error)
            self._refresh()

    def _refresh(self) -> None:
        self.history.steps = read_table(self.run.table("steps"), STEPS)
        self.history.layers = read_table(self.run.table("layers"), LAYERS)

    def _say(self, findings: Iterable[ev.Event]) -> None:
        for finding in findings:
            self.write(finding)

    def _complain(self, error: OSError) -> None:
        """Once: a full disk would fill the log with it."""
        if not self._complained:
            print(f"cockpit: records are being lost: {error}", file=sys.stderr, flush=True)
        self._complained = True
