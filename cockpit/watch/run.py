"""A watched run: the record of a loop that is not ours."""

from __future__ import annotations

import atexit
import math
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch
import yaml
from torch import Tensor

from cockpit.engine.logbook import Logbook
from cockpit.engine.meter import Meter
from cockpit.engine.probes import LayerProbe, layers_of
from cockpit.engine.recorder import Left, Recorder
from cockpit.runs import events as ev
from cockpit.runs.directory import RunError, create, runs_root
from cockpit.runs.log import complain
from cockpit.runs.tables import LAYERS, Rows, blank
from cockpit.watch.answers import answers_of
from cockpit.watch.clean import Clean
from cockpit.watch.desk import Desk, launched
from cockpit.watch.evaluation import Evaluator, given
from cockpit.watch.hooks import Hooks
from cockpit.watch.opening import UNKNOWN, First, Prior, first_of, fits, measured, prior_of, started
from cockpit.watch.orders import Orders
from cockpit.watch.scores import Answered
from cockpit.watch.settings import Settings, checked, flags_of

T = TypeVar("T")
SEEN = 20
"""Updates after which the class shares are taken for known, where no probe tells them ..."""
PATIENCE = 5.0
"""... or seconds."""
ROUNDED = 1e-3
"""A share that was reckoned in half precision may be more than 1 by so much."""


def watch(
    model: Any,
    optimizer: Any,
    *,
    name: str = "watched",
    runs: str | Path | None = None,
    criterion: Callable[..., Tensor] | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    total_steps: int | None = None,
    probe: tuple[Any, Tensor] | None = None,
    classes: Iterable[str] | int | None = None,
    accumulate: int = 1,
    every: int = 10,
    flags: Mapping[str, Any] | None = None,
) -> Watched:
    """Watch a training loop: `with watch(model, optimizer, ...) as run:`, then `run.step` and `run.evaluate` in the loop.

    `criterion`: what the loop calls with (logits, targets). `steps_per_epoch`, `total_steps`: updates, not batches.
    `probe`: (inputs, targets), some hundred training examples as the network takes them, on which it is measured; without
    it, the first batches serve. `classes`: names, or how many. `accumulate`: backward passes for each update.
    `every`: layers are measured on the first 20 updates and on every so many. `flags`: as in a recipe.
    Raises ValueError for arguments that cannot be, RunError where no run directory can be made.
    """
    settings = checked(
        model,
        optimizer,
        name,
        runs,
        probe,
        classes,
        flags,
        criterion=criterion,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        accumulate=accumulate,
        every=every,
    )
    return Watched(settings)


class Watched:
    """One watched loop. Faults of the watcher are noted once and never reach the loop; only the thread of the loop calls it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stop_asked = False
        """Somebody asked the run to stop: leave the loop."""
        self._first: First | None = None
        self._begun = False
        self._open = False
        self._closed = False
        self._losses: list[Tensor] = []
        self._targets: list[Tensor] = [one.targets for one in settings.probe if one.targets is not None]
        self._fresh: list[Answered] = []
        self._start_rows: Rows = blank(0, LAYERS)
        self._held: list[tuple[Rows, Rows]] = []
        self._faults: set[str] = set()
        self._lr = math.nan

    def start(self) -> Watched:
        """Make the run directory and listen; `with` calls it. Raises RunError where no directory can be made."""
        settings = self.settings
        tree = {"watched": True, "name": settings.name, **({"flags": dict(settings.flags)} if settings.flags else {})}
        recipe, launch = yaml.safe_dump(tree, sort_keys=False), {"watched": True, "command": sys.argv}
        self.dir = create(runs_root(settings.runs), settings.name, recipe, launch)
        try:
            self._open_up(tree)
            self._listen()
        except BaseException as error:
            self._called_off(error)
            if isinstance(error, OSError):
                raise RunError(f"cannot write a run directory under {self.dir.path.parent}: {error.strerror}") from error
            raise
        return self

    def _open_up(self, tree: Mapping[str, Any]) -> None:
        """Take the run directory, and tell that somebody is there."""
        settings = self.settings
        self._log = Logbook(self.dir)
        self._log.history.recipe = dict(tree)
        self._log.write(launched())
        self._probe = LayerProbe([weight for _, weight in settings.layers], settings.every, Meter(settings.device.type))
        self._hooks = Hooks(settings, self._probe, self.lost)
        self._clean = Clean(settings, self._hooks)
        self._flags = flags_of(settings.flags)
        self._evaluator = Evaluator(settings, self._clean)
        self._desk = Desk(self.dir, lambda: self._hooks.row)
        self._orders = Orders(self._desk, self._log, settings.optimizer, self._flags)
        self._recorder = Recorder(self._deliver)
        self._desk.open()
        self._open = True

    def _listen(self) -> None:
        """From here on, what cannot be done costs records alone."""
        atexit.register(self._abandoned)
        self._safely("the layers of the network cannot be told apart", lambda: layers_of(self.settings.net))
        self._safely("the fresh network cannot be measured", self._measure_fresh)
        self._hooks.hang()
        self._recorder.restart_clock()
        self._born = time.monotonic()

    def _called_off(self, error: BaseException) -> None:
        """It did not come to watching: leave no run behind of which nobody knows the end."""
        if self._open:
            self.__exit__(type(error), error, None)
        else:
            with suppress(Exception):  # where it came that far, its files are open
                self._log.ended(ev.Ended(state="failed"))
            shutil.rmtree(self.dir.path, ignore_errors=True)

    @property
    def looking(self) -> bool:
        """A pass of the watcher's own is under way."""
        return self._open and self._hooks.own

    def step(self, loss: Tensor | float, logits: Tensor | None = None, targets: Tensor | None = None) -> bool:
        """Record one step of the loop, after its update. Returns False where somebody asked the run to stop.

        `loss`: scalar, as the loop reports it. `logits`: what the loss takes, (B, K), (B, 1) or (B,). `targets`: classes
        int (B,), or float. Blocks while the run is paused.
        """
        if not self._used():
            return not self.stop_asked
        self._safely("a step cannot be recorded", lambda: self._step(loss, logits, targets))
        self._safely("a command cannot be obeyed", self._obey)
        return not self.stop_asked

    def evaluate(
        self,
        outputs: Tensor | Iterable[Any] | None = None,
        targets: Tensor | None = None,
        *,
        loss: float | Tensor | None = None,
        accuracy: float | Tensor | None = None,
    ) -> None:
        """Record an evaluation on validation data.

        Either the validation outputs and targets, or a loader of batches (inputs, targets), which the watcher then scores in
        evaluation mode, or numbers alone. `accuracy`: what the loop itself says, which is compared.
        """
        if not self._used():
            return
        self._safely("an evaluation cannot be recorded", lambda: self._evaluate(outputs, targets, loss, accuracy))
        self._safely("a command cannot be obeyed", self._obey)
        self._recorder.restart_clock()

    def close(self, state: str = "finished", reason: str = "") -> None:
        """Write the last word and let go; `with` calls it. `state`: finished, stopped, interrupted or failed."""
        if self._closed or not self._open:
            return
        self._closed = True
        atexit.unregister(self._abandoned)
        self._hooks.remove()
        self._safely("the last steps cannot be recorded", self._finish)
        if state == "finished" and self.stop_asked and not 0 < self.settings.total_steps <= self._hooks.row:
            state, reason = self._orders.stop_state, "on request"
        end = ev.Ended(step=self._hooks.row, state=state, reason=reason, epoch=self._log.history.epoch)
        self._safely("the flags cannot look at the end", lambda: self._log.ended(end))
        if self._log.history.ended is None:
            self._log.watch_with(())
            self._safely("the end cannot be recorded", lambda: self._log.ended(end))
        self._open = False
        if self._desk.look():
            words = "is gone: nothing of this run is recorded any more, and the loop goes on"
            complain(f"the run directory {self.dir.path} {words}")
        with suppress(OSError):
            self._desk.close()

    def __enter__(self) -> Watched:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.close()
        elif isinstance(error, KeyboardInterrupt):
            self.close("interrupted", "the keyboard interrupted it")
        else:
            words = traceback.format_exception_only(error)[-1].strip()
            self.close("failed", words[:500])

    def _used(self) -> bool:
        """Whether there still is a record to write. RuntimeError before there is one."""
        if not self._open and not self._closed:
            raise RuntimeError("a watched run begins with `with watch(...) as run:`")
        if self._open and self._desk.gone:
            self.close()
        return self._open

    def _step(self, loss: Tensor | float, logits: Tensor | None, targets: Tensor | None) -> None:
        value = _tensor(loss)
        value = torch.full((), float(loss), device=self.settings.device) if value is None else value.float()
        value = value.mean() if value.ndim else value
        self._losses.append(value)
        if self._first is None:
            self._learn(float(value), logits, targets)
        if not self._begun and targets is not None and not self.settings.probe:
            self._targets.append(targets.detach().clone())
        if self._hooks.collecting:
            self._clean.collect(targets)
        if self._hooks.stepped or len(self._losses) >= self.settings.accumulate:
            self._row(logits, targets)

    def _learn(self, reported: float, logits: Any, targets: Any) -> None:
        self._first = UNKNOWN
        self._first = first_of(self.settings, reported, _tensor(logits), _tensor(targets))

    def _row(self, logits: Tensor | None, targets: Tensor | None) -> None:
        """One row: of the calls since the last update."""
        if not self._hooks.ever_stepped:
            self._hooks.standing()
        row, hooks = self._hooks.row + 1, self._hooks
        loss = torch.stack(self._losses).mean() if len(self._losses) > 1 else self._losses[0]
        shown, truth = self._shown(logits, targets, loss)
        rate = self.settings.optimizer.param_groups[0]["lr"]
        if not isinstance(rate, Tensor) or rate.device.type == "cpu" or self._probe.due(row):
            self._lr = float(rate)  # one on the GPU is read where the loop is measured anyway
        left = Left(row, self._lr, loss, shown, truth, hooks.norm, hooks.layers, self._probe.meter.take(), hooks.stale)
        self._losses = []
        hooks.taken()
        self._recorder.step(left)
        if not self._begun and (self.settings.probe or row >= SEEN or time.monotonic() - self._born > PATIENCE):
            self._begin()

    def _shown(self, logits: Tensor | None, targets: Tensor | None, loss: Tensor) -> tuple[Tensor, Tensor]:
        """What the recorder takes the accuracy from; where there is none, targets that are no classes."""
        takes = self._first.loss.takes if self._first else ""
        classed = bool(self.settings.classes)
        answers = answers_of(logits, targets, takes, classed=classed) if isinstance(logits, Tensor) else None
        if answers is None or answers.truth is None or not answers.plain:
            nothing = loss.new_zeros(1, 2)
            return nothing, nothing
        return answers.sided.to(loss.device), answers.truth.to(loss.device)

    def _measure_fresh(self) -> None:
        self._fresh, self._start_rows = self._clean.look("fresh", 0)

    def _begin(self) -> None:
        """Everything that the first events say is known: write them, and the rows that wait for them."""
        first = self._first or UNKNOWN
        self._compare(first)
        known = self._safely("the first batches cannot be read", lambda: self._facts(first))
        opening, event = known or (started(self.settings, UNKNOWN, Prior(), None), None)
        self._log.write(opening)
        self._begun, self._targets, self._fresh, self._desk.state = True, [], [], "running"
        self._log.watch_with(self._flags.values())
        if event:
            self._log.measured(event, self._start_rows)
        held, self._held = self._held, []
        for step_rows, layer_rows in held:
            self._deliver(step_rows, layer_rows)

    def _facts(self, first: First) -> tuple[ev.Started, ev.Measured | None]:
        prior, x = prior_of(self._targets, first, classed=bool(self.settings.classes)), self._clean.x
        return started(self.settings, first, prior, x), measured(self.settings, first, self._fresh, x)

    def _compare(self, first: First) -> None:
        """The probe is of no use where the loop goes on with what the network returns."""
        if first.width and any(not fits(outputs, first) for outputs, _ in self._fresh):
            self._note("what the network returns is not what the loop hands over: the probe is not used")
            self._clean.passes, self._fresh, self._hooks.collecting = [], [], False

    def _deliver(self, step_rows: Rows, layer_rows: Rows) -> None:
        if self._begun:  # the rows are on the disk before a flag looks at them
            self._safely("the flags cannot look", lambda: self._log.rows(step_rows, layer_rows))
        else:
            self._held.append((step_rows, layer_rows))

    def _evaluate(self, outputs: Any, targets: Tensor | None, loss: Any, accuracy: Any) -> None:
        blind = self._hooks.blind_training and self._clean.noisy
        self._hooks.blind_training = False
        self._recorder.flush()
        self._hooks.collecting &= not self._clean.passes  # from the first evaluation on, the probe stays what it is
        parts = given(outputs, targets, self._clean, self.settings)
        said = (_number(loss), self._share(_number(accuracy)))
        if self._first is None:
            if self.settings.criterion is None or not parts:
                self._note("an evaluation before the first step is recorded where watch is told the criterion")
                return
            self._learn(said[0], *parts[0])
        if not self._begun:
            self._targets = self._targets or [truth for _, truth in parts if truth is not None]
            self._begin()
        self._log.evaluated(*self._evaluator.evaluate(self._first or UNKNOWN, parts, said, self._hooks.row, blind=blind))

    def _share(self, accuracy: float) -> float:
        """NaN for what is no share."""
        if math.isnan(accuracy) or -ROUNDED <= accuracy <= 1 + ROUNDED:
            return min(max(accuracy, 0.0), 1.0) if accuracy == accuracy else accuracy
        self._warn("accuracy", f"accuracy is a share from 0 to 1, and the loop says {accuracy:g}: it is left out")
        return math.nan

    def _obey(self) -> None:
        if self._desk.waiting:
            self._recorder.flush()
            self._orders.obey(self._hooks.row)
            self.stop_asked = self._orders.stop_asked
            self._recorder.restart_clock()

    def _finish(self) -> None:
        if not self._begun and self._first is not None:
            self._begin()
        self._recorder.flush()

    def _abandoned(self) -> None:
        self.close("failed", "the script ended without leaving the watch")

    def _safely(self, what: str, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except Exception as error:
            self.lost(what, error)
            return None

    def lost(self, what: str, error: Exception) -> None:
        """Say once what the watcher could not do."""
        self._warn(what, f"{what}: {type(error).__name__}: {str(error)[:300]}")

    def _warn(self, about: str, text: str) -> None:
        """Once; where the run directory is gone, all that fails fails for that."""
        if about not in self._faults and not self._desk.look():
            self._faults.add(about)
            self._note(text, level="warning")

    def _note(self, text: str, level: str = "info") -> None:
        self._log.write(ev.Noted(step=self._hooks.row, text=text, level=level))
        if level != "info":
            complain(text)


def _tensor(value: Any) -> Tensor | None:
    return value.detach() if isinstance(value, Tensor) else None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
