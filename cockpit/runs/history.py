"""All that a run has recorded up to a moment, folded from its directory: what flags judge and screens draw."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cockpit.runs import events as ev
from cockpit.runs.calendar import Calendar
from cockpit.runs.directory import RunDir
from cockpit.runs.log import LineReader
from cockpit.runs.state import State, state_of
from cockpit.runs.tables import LAYERS, MACHINE, STEPS, Rows, orderly, read_table

MOST_RECIPE = 2**20
"""Bytes that are read of a recipe."""


@dataclass
class History:
    """A fold over events, and views of the tables. Only `fold` and the owner of the tables change it."""

    started: ev.Started | None = None
    measured: ev.Measured | None = None
    evaluations: list[ev.Evaluated] = field(default_factory=list)
    """In order. A run may make ten thousand: only the last one has a histogram, only the last and the best have scores."""
    active: dict[str, ev.Flagged] = field(default_factory=dict)
    """The findings that hold now, by flag."""
    findings: list[ev.Flagged | ev.Cleared] = field(default_factory=list)
    """Every rise and clearing, in order."""
    edits: list[ev.Edited] = field(default_factory=list)
    snoozed: dict[str, int] = field(default_factory=dict)
    """Flag -> the step until which the user does not want to hear of it."""
    remedied: list[ev.Remedied] = field(default_factory=list)
    notes: list[ev.Noted] = field(default_factory=list)
    commands: list[ev.Commanded] = field(default_factory=list)
    checkpoints: list[ev.Checkpointed] = field(default_factory=list)
    """In order, the last two of each path and reason."""
    launched: ev.Launched | None = None
    ended: ev.Ended | None = None
    """How the last host let go; None while one holds the run."""
    paused: bool = False
    released: bool = False
    """It has given its device back for as long as it is paused."""
    steps: Rows = field(default_factory=lambda: np.empty(0, STEPS))
    layers: Rows = field(default_factory=lambda: np.empty(0, LAYERS))
    machine: Rows = field(default_factory=lambda: np.empty(0, MACHINE))
    recipe: dict[str, Any] = field(default_factory=dict)
    """The resolved recipe as a plain tree."""

    @property
    def step(self) -> int:
        """The last step recorded."""
        if len(self.steps):
            return int(self.steps["step"][-1])
        return self.evaluations[-1].step if self.evaluations else 0  # a soup was scored and never trained

    @property
    def epoch(self) -> float:
        """Epochs done, as a fraction."""
        if self.started is None:
            return 0.0
        lengths = self.started.epoch_lengths
        return Calendar(lengths).epoch(self.step) if lengths else self.step / self.started.steps_per_epoch

    @property
    def best(self) -> ev.Evaluated | None:
        """The evaluation whose weights are kept as best."""
        return next((seen for seen in reversed(self.evaluations) if seen.best), None)

    def fold(self, event: ev.Event) -> None:
        """Take one event in."""
        match event:
            case ev.Launched():
                self.launched, self.ended, self.paused, self.released = event, None, False, False
            case ev.Started():
                self.started = event
            case ev.Resumed():
                self._rewind(event.step)
            case ev.Measured():
                self.measured = event
            case ev.Evaluated():
                self.evaluations[-1:] = [*map(_past, self.evaluations[-1:]), event]
            case ev.Flagged():
                self.active[event.id] = event
                self.findings.append(event)
            case ev.Cleared():
                self.active.pop(event.id, None)
                self.findings.append(event)
            case ev.Edited():
                self.edits.append(event)
            case ev.Snoozed():
                self.snoozed[event.id] = event.until
            case ev.Remedied():
                self.remedied.append(event)
            case ev.Noted():
                self.notes.append(event)
            case ev.Commanded():
                self.commands.append(event)
            case ev.Checkpointed():
                like = [seen for seen in self.checkpoints if (seen.path, seen.reason) == (event.path, event.reason)]
                self.checkpoints = [seen for seen in self.checkpoints if seen not in like[:-1]] + [event]
            case ev.Paused() | ev.Continued():
                self.paused = isinstance(event, ev.Paused)
                self.released = isinstance(event, ev.Paused) and event.released
            case ev.Ended():
                self.ended, self.paused, self.released = event, False, False

    def _rewind(self, step: int) -> None:
        """Forget what came after a step: the run went back to the checkpoint of that step."""
        self.evaluations = [seen for seen in self.evaluations if seen.step <= step]
        self.edits = [edit for edit in self.edits if edit.step <= step]
        self.remedied = [act for act in self.remedied if act.step <= step]
        self.findings = [found for found in self.findings if found.step <= step]
        self.active = {}
        for found in self.findings:
            if isinstance(found, ev.Flagged):
                self.active[found.id] = found
            else:
                self.active.pop(found.id, None)

    def layer_series(self, layer: int, name: str) -> tuple[Rows, Rows]:
        """(steps, values) of one measurement of one layer, unmeasured samples left out."""
        rows = self.layers[self.layers["layer"] == layer]
        known = ~np.isnan(rows[name])
        return rows["step"][known], rows[name][known]


def _past(seen: ev.Evaluated) -> ev.Evaluated:
    """What is asked of an evaluation once there is another."""
    outputs = replace(seen.outputs, histogram=()) if seen.outputs else None
    return replace(seen, outputs=outputs, scores=seen.scores if seen.best else {})


class RunReader:
    """Follows a run directory: live, attached later or after its end, one code path."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.history = History()
        self._lines = LineReader(run.events)
        self._checked = {"steps": 0, "layers": 0}
        """Rows that were found in order."""

    def poll(self) -> list[ev.Event]:
        """Read what is new into the history; returns the new events. A line that cannot be read is left out."""
        fresh = []
        for line in self._lines.follow():
            try:
                event = ev.decode(line)
            except (ValueError, TypeError):
                continue
            if event:
                self.history.fold(event)
                fresh.append(event)
        self.history.steps = self._in_order("steps", STEPS)
        self.history.layers = self._in_order("layers", LAYERS)
        self.history.machine = read_table(self.run.table("machine"), MACHINE)
        return fresh

    def _in_order(self, name: str, dtype: np.dtype[Any]) -> Rows:
        """A table; what was in order at the last look is not looked at again."""
        rows = read_table(self.run.table(name), dtype)
        fresh = np.asarray(rows)["step"][max(0, min(self._checked[name], len(rows)) - 1) :]
        if (fresh[1:] < fresh[:-1]).any():
            return orderly(rows)
        self._checked[name] = len(rows)
        return rows

    @property
    def state(self) -> State:
        """The run's state, proved anew at each call."""
        return state_of(self.run, self.history.ended.state if self.history.ended else "")


def read_history(run: RunDir) -> History:
    """The whole history of a run directory, with its recipe."""
    import yaml

    reader = RunReader(run)
    reader.poll()
    try:
        with open(run.recipe, "rb") as file:
            reader.history.recipe = yaml.safe_load(file.read(MOST_RECIPE).decode()) or {}
    except Exception:  # whatever PyYAML raises over what was never a recipe, such as a thousand brackets
        reader.history.recipe = {}  # the rules that ask it then offer fewer remedies
    return reader.history
