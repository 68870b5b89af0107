"""Keeps the checkpoints of a run and says so in its log."""

import sys
from typing import Any

from torch import nn

from cockpit.engine import checkpoints
from cockpit.engine.logbook import Logbook
from cockpit.engine.training import Training
from cockpit.runs import events as ev
from cockpit.runs.directory import epoch_name


class Keeper:
    """`last` resumes a run; `best` holds the weights that scored best on validation, as they were scored."""

    def __init__(self, logbook: Logbook) -> None:
        self.logbook = logbook

    def save_last(self, job: Training, reason: str) -> None:
        """Everything that a resume needs."""
        self._save("last", job.state_dict(), job.step, reason)

    def save_best(self, job: Training, scored: nn.Module) -> None:
        """The weights that were scored, an average if a trick keeps one, and the raw ones where they differ."""
        state = {"step": job.step, "model": scored.state_dict()}
        self._save("best", state, job.step, "best")

    def save_epoch(self, job: Training, scored: nn.Module) -> None:
        """The weights that were scored at the end of this epoch, as many epochs back as the recipe asks for."""
        keep, epoch = job.recipe.train.keep, round(job.epoch)
        if keep:
            self._save(epoch_name(epoch), {"step": job.step, "model": scored.state_dict()}, job.step, "kept")
            self.logbook.run.checkpoint(epoch_name(epoch - keep)).unlink(missing_ok=True)

    def restore_best(self, job: Training) -> None:
        """Put the best weights into the network."""
        job.model.load_state_dict(checkpoints.load(self.logbook.run.checkpoint("best"))["model"])

    def _save(self, which: str, state: dict[str, Any], step: int, reason: str) -> None:
        path = self.logbook.run.checkpoint(which)
        try:
            checkpoints.save(path, state)
        except OSError as error:
            print(f"cockpit: checkpoint {which} was not written: {error}", file=sys.stderr, flush=True)
            self.logbook.write(ev.Noted(step=step, level="warning", text=f"checkpoint {which} was not written: {error}"))
            return
        self.logbook.write(ev.Checkpointed(step=step, path=f"checkpoints/{path.name}", reason=reason))
