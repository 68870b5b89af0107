"""What `train` prints: a bar on a terminal, plain lines elsewhere. It reads the run directory, as every screen does."""

import math
import sys
from typing import Any

from cockpit.cli.base import shown, silence
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader


class Progress:
    """Call `turn` now and then; it prints what is new."""

    def __init__(self, run: RunDir, *, quiet: bool) -> None:
        self._reader = RunReader(run)
        self._quiet = quiet
        self._stream = sys.stderr if quiet else sys.stdout
        self._bar: Any = None
        self._task: Any = None
        self.say(f"run {run.id} ({run.name}) in {run.path}")

    def say(self, text: str) -> None:
        """Print a line above the bar; with --json, on standard error. A reader that left, or a full disk, is no fault."""
        try:
            if self._bar:
                self._bar.console.print(shown(text), markup=False, emoji=False, highlight=False)
            else:
                print(shown(text), file=self._stream, flush=True)
        except OSError:
            silence(self._stream)

    def turn(self) -> None:
        """Print the news."""
        for event in self._reader.poll():
            text = line_of(event)
            if text:
                self.say(text)
        history = self._reader.history
        if history.started and sys.stdout.isatty() and not self._quiet:
            loss = float(history.steps["loss"][-1]) if len(history.steps) else math.nan
            self._draw(history.step, history.started.total_steps, loss)

    def _draw(self, step: int, total: int, loss: float) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichBar

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = RichBar(*columns, transient=True)
            self._task = self._bar.add_task("training", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=step, description=f"loss {loss:.3f}")

    def close(self, end: ev.Ended) -> None:
        """Take the bar away. A disk that is full, or gone, may not have kept how the run ended."""
        self.turn()
        if self._reader.history.ended is None:
            self.say(line_of(end))
        if self._bar:
            self._bar.stop()


def line_of(event: ev.Event) -> str:
    """One line for the events that a reader of a log wants to see; nothing for the others."""
    match event:
        case ev.Started():
            data = event.data
            sizes = f"train {data.train:,} · val {data.val:,} · test {data.test:,} sealed"
            return f"{data.source}: {sizes} · {event.params:,} parameters · {event.device} {event.precision}"
        case ev.Evaluated():
            best = " · best" if event.best else ""
            train = f"train {event.train_loss:.4f} {event.train_accuracy:6.2%}"
            val = f"val {event.val_loss:.4f} {event.val_accuracy:6.2%}"
            whose = f" with {event.weights}, {event.plain_accuracy:.2%} without" if event.plain_accuracy is not None else ""
            if event.score != "accuracy":
                val += f" · {event.score} {event.scores.get(event.score, math.nan):.4f}"
            return f"epoch {event.epoch:>3} · step {event.step:>6} · {train} · {val}{whose}{best}"
        case ev.Flagged():
            return f"{event.severity}: {event.id} at step {event.step}: {event.headline}"
        case ev.Cleared():
            return f"cleared: {event.id} at step {event.step}"
        case ev.Remedied():
            by = " unasked" if event.by == "auto" else ""
            ways = {"live": "at once", "rollback": f"back at step {event.step}", "fork": f"in run {event.run}"}
            return f"remedy for {event.id}{by}: {event.label}, {ways.get(event.how, event.how)}"
        case ev.Noted():
            return f"note: {event.text}"
        case ev.Ended():
            reason = f": {event.reason}" if event.reason else ""
            kept = " · best weights restored" if event.kept == "best" else ""
            return f"{event.state} at step {event.step}{reason}{kept}"
    return ""
