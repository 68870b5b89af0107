"""Keeps the checkpoints of a run and says so in its log."""

import errno
import os
import time
from typing import Any

from torch import Tensor, nn

from cockpit.engine import checkpoints
from cockpit.engine.logbook import Logbook
from cockpit.engine.recorder import Recorder
from cockpit.engine.training import Training
from cockpit.runs import events as ev
from cockpit.runs.directory import epoch_name
from cockpit.runs.log import complain

PATIENCE = 600.0
"""Seconds that a run which is over waits for room on the disk."""


class Keeper:
    """`last` resumes a run, or `before`, the one before it, where `last` is damaged.

    `best` holds the weights that scored best on validation, as they were scored.

    `healthy` is the state at the last evaluation at which nothing looked ill (before the first such: the fresh network),
    and `healthy_before` the one before it: where a run goes back to. They are links to what `last` was then, and so cost the
    space of at most two files and, where the file system has links, no second writing.
    """

    def __init__(self, logbook: Logbook) -> None:
        self.logbook = logbook
        self._saved = time.monotonic()
        """When a checkpoint to resume from was last written, or tried."""
        self._unwritten: set[str] = set()
        self._full = 0
        """Checkpoints in a row for which the disk had no room."""
        self._best: dict[str, Any] = {}
        """The best weights so far, where the disk did not take them: they wait in memory until it takes a checkpoint again."""

    def save_last(self, job: Training, reason: str) -> bool:
        """Everything that a resume needs; at an evaluation, kept as healthy where nothing looks ill. Whether it was written."""
        self._saved = time.monotonic()
        self.logbook.sync()  # a power cut costs the record of the last seconds at most
        if self._best and self._save("best", self._best, self._best["step"], "best"):
            self._best = {}
        saved = self._save("last", job.state_dict(), job.step, reason)
        if saved and reason == "epoch" and self.logbook.well:
            self._keep_healthy(job.step)
        return saved

    def save_now_and_then(self, job: Training, recorder: Recorder) -> None:
        """Call after each step: writes the checkpoint of every so many minutes."""
        if time.monotonic() - self._saved > 60 * job.recipe.train.checkpoint_minutes:
            recorder.flush()
            self.save_last(job, "minutes")
            recorder.restart_clock()

    def save_end(self, job: Training, reason: str) -> None:
        """The last checkpoint of all: worth waiting for, where the disk is full."""
        until = time.monotonic() + PATIENCE
        while not self.save_last(job, reason) and self._full and time.monotonic() < until:
            if self._full == 1:
                complain(f"waiting up to {PATIENCE / 60:.0f} min for room for the last checkpoint")
            time.sleep(min(2.0, PATIENCE))

    def load_last(self) -> tuple[str, dict[str, Any]] | None:
        """The newest checkpoint that can be read, its file's name first; None before there is one. CheckpointError: none can.

        A damaged one is moved aside, and the one in whose place it stood takes it.
        """
        failed: checkpoints.CheckpointError | None = None
        tried: list[str] = []
        last = self.logbook.run.checkpoint("last")
        for path in (self.logbook.run.checkpoint(which) for which in ("last", "before", "healthy", "healthy_before")):
            if not path.exists():
                continue
            try:
                state = checkpoints.load(path)
            except checkpoints.CheckpointError as error:
                failed = failed or error
                tried.append(path.name)
                continue
            if failed:
                text = f"{failed}; the run goes on from {path.name}, of step {state.get('step')}"
                self.logbook.write(ev.Noted(step=self.logbook.history.step, level="warning", text=text))
                if last.exists():
                    os.replace(last, last.with_suffix(".damaged"))
            return path.name, state
        if failed:
            run, others = self.logbook.run, tried[1:]
            them = f"{' and '.join(others)} cannot be read either" if others else "there is no other to go on from"
            raise checkpoints.CheckpointError(f"{failed}; {them}: `cockpit fork {run.id}` starts again from its first step")
        return None

    def save_start(self, job: Training) -> None:
        """The fresh network: a run that falls ill in its first epoch can begin again."""
        self._save("healthy", job.state_dict(), job.step, "healthy")

    def _keep_healthy(self, step: int) -> None:
        last, healthy, older = (self.logbook.run.checkpoint(which) for which in ("last", "healthy", "healthy_before"))
        try:
            if healthy.exists():
                os.replace(healthy, older)
            checkpoints.link(last, healthy)
        except OSError as error:
            self.logbook.write(ev.Noted(step=step, level="warning", text=f"checkpoint healthy was not kept: {error.strerror}"))
            return
        self.logbook.write(ev.Checkpointed(step=step, path=f"checkpoints/{healthy.name}", reason="healthy"))

    def healthy(self, before: int, flag: str = "") -> str:
        """The name of the newest healthy checkpoint of a step before this one, or the fresh network's; empty: there is none.

        `flag`: one at which this flag saw nothing.
        """
        for which in ("healthy", "healthy_before"):
            step = checkpoints.step_of(self.logbook.run.checkpoint(which))
            if step == 0 or (0 < step < before and self.logbook.unseen(flag, step)):
                return which
        return ""

    def went_back(self, job: Training) -> None:
        """After a state was put back: forget what was kept at later steps, which no longer count."""
        healthy, older = (self.logbook.run.checkpoint(which) for which in ("healthy", "healthy_before"))
        if checkpoints.step_of(healthy) > job.step and older.exists():
            os.replace(older, healthy)
            step = checkpoints.step_of(healthy)
            self.logbook.write(ev.Checkpointed(step=step, path=f"checkpoints/{healthy.name}", reason="healthy"))
        before = self.logbook.run.checkpoint("before")
        if checkpoints.step_of(before) > job.step:
            before.unlink()
        self._best = {} if self._best.get("step", 0) > job.step else self._best
        if job.best and not self._best and not self._holds_best(job.step):
            job.best = None  # the next evaluation is the best of those whose weights are kept

    def _holds_best(self, step: int) -> bool:
        """Whether the best weights are there, whole, and of this step or an earlier one; it says so where they are lost."""
        path = self.logbook.run.checkpoint("best")
        try:
            with checkpoints.fitting(path):
                return 0 <= int(checkpoints.load(path)["step"]) <= step
        except checkpoints.CheckpointError as error:
            text = f"{error}: the next evaluation counts as the best"
            self.logbook.write(ev.Noted(step=step, level="warning", text=text))
            return False

    def save_best(self, job: Training, scored: nn.Module) -> None:
        """The weights that were scored, an average if a trick keeps one, and the raw ones where they differ."""
        state = {"step": job.step, "model": scored.state_dict()}
        saved = self._save("best", state, job.step, "best")
        self._best = {} if saved else {**state, "model": {key: _kept(value) for key, value in scored.state_dict().items()}}

    def save_epoch(self, job: Training, scored: nn.Module) -> None:
        """The weights that were scored at the end of this epoch, as many epochs back as the recipe asks for."""
        keep, epoch = job.recipe.train.keep, round(job.epoch)
        if keep:
            self._save(epoch_name(epoch), {"step": job.step, "model": scored.state_dict()}, job.step, "kept")
            self.logbook.run.checkpoint(epoch_name(epoch - keep)).unlink(missing_ok=True)

    def restore_best(self, job: Training) -> None:
        """Put the best weights into the network."""
        kept = self._best or checkpoints.load(self.logbook.run.checkpoint("best"))
        job.model.load_state_dict(kept["model"])

    def _save(self, which: str, state: dict[str, Any], step: int, reason: str) -> bool:
        path = self.logbook.run.checkpoint(which)
        try:
            spare = which == "last" and reason != "rollback"  # what lies before a rollback is of no use after it
            checkpoints.save(path, state, self.logbook.run.checkpoint("before") if spare else None)
        except OSError as error:
            self._complain(which, step, f"checkpoint {which} was not written: {error.strerror or error}")
            self._full = self._full + 1 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 0
            return False
        self._unwritten.discard(which)
        self._full = 0
        self.logbook.write(ev.Checkpointed(step=step, path=f"checkpoints/{path.name}", reason=reason))
        return True

    def _complain(self, which: str, step: int, text: str) -> None:
        """Once, until it is written again: a full disk would fill the log with it."""
        if which not in self._unwritten:
            self._unwritten.add(which)
            complain(text)
            self.logbook.write(ev.Noted(step=step, level="warning", text=text))


def _kept(value: Any) -> Any:
    """A copy that the training does not change."""
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value
