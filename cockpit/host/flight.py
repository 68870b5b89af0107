"""What the training thread does, from the first import of torch to the last event. It never dies in silence."""

import dataclasses
import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cockpit.engine.control import Control
from cockpit.engine.distributed_control import control_here
from cockpit.host.memory import keep_freed_memory
from cockpit.recipe import RecipeError, cautions, loads, to_tree
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.launch_facts import allows_code, auto_remedy, tried
from cockpit.runs.sound import sound
from cockpit.runs.state import State
from cockpit.travel import Setback

if TYPE_CHECKING:
    from cockpit.engine.control import End
    from cockpit.engine.keeper import Keeper
    from cockpit.engine.logbook import Logbook
    from cockpit.engine.training import Training
    from cockpit.recipe import Recipe


@dataclass
class Flight:
    """One training in one thread. The main thread reads `state` and `step`, and posts to `control`."""

    run: RunDir
    resume: bool = False
    say: Callable[[str], None] = print
    state: State = "starting"
    end: ev.Ended | None = None
    job: "Training | None" = field(default=None, init=False)
    control: Control = field(default_factory=control_here, init=False)

    @property
    def successor(self) -> RunDir | None:
        """The run in which this one goes on, once it has ended for that."""
        return self.control.successor

    @property
    def step(self) -> int:
        """Steps done."""
        return self.job.step if self.job else 0

    def spent(self) -> dict[str, float]:
        """Seconds that the training spent on each stage so far."""
        return self.job.stages.seconds() if self.job else {}

    def fly(self) -> None:
        """Train. Whatever happens, the last event of the run says how it ended, or that it waits without its device."""
        # Threads that spin at a barrier starve each other, and the screen, where cores are few: it halves the speed.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        keep_freed_memory()
        from cockpit.engine.logbook import Logbook

        log: Logbook | None = None
        try:
            log = Logbook(self.run)
            end = self._train(log)
        except BaseException as error:  # the thread must not die without a word
            end = ev.Ended(state="failed", reason=self._reason(error))
        if end is None and log:
            log.close()
            return
        if end is None or not self.run.path.is_dir():
            end = ev.Ended(state="failed", reason=f"the run directory {self.run.path} was removed")
        kept = "best" if self.job and self.job.keep_best and self.job.best else "last"
        epoch = self.job.epoch if self.job else 0.0
        self.end = dataclasses.replace(end, step=self.step, epoch=epoch, kept=kept)
        if log:
            log.ended(self.end)
        self.state = "finished" if end.state == "finished" else "stopped"

    def _train(self, log: "Logbook") -> ev.Ended | None:
        """How it ended; None where it waits without its device."""
        from cockpit.engine.advice import advice
        from cockpit.engine.assemble import assemble, started
        from cockpit.engine.distributed import muster
        from cockpit.engine.keeper import Keeper
        from cockpit.engine.loop import train
        from cockpit.engine.recorder import Recorder
        from cockpit.engine.remedy import settle

        base = recipe = loads(self.run.recipe.read_bytes(), "recipe.yaml")
        log.history.recipe = to_tree(recipe)
        self.control.auto, self.control.earlier = auto_remedy(self.run), tried(self.run)
        keeper = Keeper(log)
        found = keeper.load_last() if self.resume else None
        if self.resume:
            if gaps := sound(self.run).gaps:
                log.write(ev.Noted(step=log.history.step, level="warning", text=gaps))
            from cockpit.engine.reopen import replay_edits

            step = int(found[1].get("step", 0)) if found else 0
            self.control.again = tuple(change for change in log.history.edits if change.step > step)
            recipe = replay_edits(recipe, [change for change in log.history.edits if change.step <= step])
        muster(recipe, allows_code(self.run))
        job, loaded = assemble(recipe, _places(self.say), allow_code=allows_code(self.run))
        if self.resume:
            self._restore(job, keeper, base, found)
        self.job = job
        for note in (*loaded.notes, *cautions(recipe), *job.wiring.notes, *advice(job)):
            log.write(ev.Noted(step=job.step, text=note))
        log.write(started(job, loaded))
        log.watch_with(recipe.flags.values())
        self.state = "running"
        recorder = Recorder(log.deliver, seconds=log.trained_seconds)
        try:
            end = train(job, recorder, keeper, self.control)
        except BaseException:
            with suppress(Exception):  # the last steps before a fault are the ones to look at; the device may be gone
                settle(recorder)
            raise
        return None if end.state == "released" else self._close(end, job, keeper)

    def _reason(self, error: BaseException) -> str:
        """One sentence for the user; the traceback of what nobody expected goes to host.log."""
        sentence = expected(error)
        if sentence:
            return sentence
        from cockpit.engine.words import told

        with suppress(OSError), open(self.run.log, "a", encoding="utf-8", errors="backslashreplace") as log:
            traceback.print_exception(error, file=log)
        return f"{told(error)}; the traceback is in host.log"

    @staticmethod
    def _restore(job: "Training", keeper: "Keeper", base: "Recipe", found: tuple[str, dict[str, Any]] | None) -> None:
        from cockpit.engine import checkpoints
        from cockpit.engine.reopen import replay_edits

        log = keeper.logbook
        if found:
            name, state = found
            with checkpoints.fitting(Path(name)):
                job.load_state_dict(state) if "optimizer" in state else job.start_from(state)
        log.rewind(job.step, found[0] if found else "")
        # The checkpoint may have been written before the edits of its step.
        job.take_options(replay_edits(base, [change for change in log.history.edits if change.step < job.step]))
        job.evaluations = job.evaluations or len(log.history.evaluations)  # weights alone do not know
        keeper.went_back(job)

    @staticmethod
    def _close(end: "End", job: "Training", keeper: Any) -> ev.Ended:
        from cockpit.engine.checkpoints import CheckpointError

        with job.settled():
            keeper.save_end(job, "end" if end.state == "finished" else "stop")
        if job.keep_best and job.best:
            try:
                keeper.restore_best(job)
            except CheckpointError as error:
                job.best = None
                text = f"{error}; the last weights stay in its place"
                keeper.logbook.write(ev.Noted(step=job.step, level="warning", text=text))
        return ev.Ended(state=end.state, reason=end.reason)


def _places(say: Callable[[str], None]) -> Any:
    from cockpit.datasets.base import Places
    from cockpit.datasets.places import data_root

    return Places(root=data_root(), say=say)


def expected(error: BaseException) -> str:
    """The sentence of an error that the user can mend; empty for one that is a fault of code."""
    import torch

    from cockpit.datasets.base import DataError
    from cockpit.engine.across.ensemble import AcrossError
    from cockpit.engine.assemble import AssemblyError
    from cockpit.engine.checkpoints import CheckpointError
    from cockpit.engine.device import DeviceError
    from cockpit.engine.distributed import PeerLostError
    from cockpit.engine.memory import TooLargeError
    from cockpit.engine.reopen import ReopenError

    if isinstance(error, torch.OutOfMemoryError):
        return "the device ran out of memory outside the passes of a step; a smaller model or smaller images need less"
    if isinstance(error, MemoryError):
        return f"this machine has not enough memory: {error}"
    ours = (
        AssemblyError
        | AcrossError
        | CheckpointError
        | DataError
        | DeviceError
        | FloatingPointError
        | PeerLostError
        | RecipeError
        | ReopenError
        | Setback
        | TooLargeError
    )
    return str(error) if isinstance(error, ours) else ""
