"""A run that has trained, with its network as it was scored: for the test set, ensembles, soups, checks and transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from cockpit.datasets.base import DataError, Places
from cockpit.datasets.places import data_root
from cockpit.engine import checkpoints
from cockpit.engine.assemble import AssemblyError, assemble
from cockpit.engine.checkpoints import CheckpointError, fitting
from cockpit.engine.data.load import Loaded
from cockpit.engine.device import DeviceError
from cockpit.engine.scoring import Scores, score
from cockpit.engine.training import Training
from cockpit.engine.words import told
from cockpit.recipe import Recipe, RecipeError, edit, loads
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.runs.launch_facts import allows_code


class ReopenError(Exception):
    """A run whose network cannot be rebuilt; the text is one sentence."""


@dataclass(frozen=True)
class Reopened:
    """A trained network among everything it was trained with."""

    run: RunDir
    job: Training
    loaded: Loaded
    saved: dict[str, Any]
    """The checkpoint."""
    which: str = "best"

    @property
    def label(self) -> str:
        """The run's id, and the epoch where it is one of those kept."""
        return (
            self.run.id if self.which == "best" else f"{self.run.id}@{self.which.rpartition('_')[2].lstrip('0') or self.which}"
        )

    @property
    def step(self) -> int:
        """The step whose weights these are."""
        return int(self.saved["step"])

    @property
    def scored(self) -> nn.Module:
        """The network whose score counts, with the views of the test-time tricks."""
        return self.job.wiring.views(self.job.model)

    def validate(self) -> Scores:
        """Its scores on the validation split."""
        job = self.job
        return score(self.scored, job.val, job.val_places(), job.plain_criterion, job.precision)


def recipe_of(run: RunDir) -> Recipe:
    """The recipe of a run as it stood at its end. Raises RecipeError."""
    recipe = loads(run.recipe.read_bytes(), "recipe.yaml")
    return replay_edits(recipe, read_history(run).edits)


def replay_edits(recipe: Recipe, edits: list[ev.Edited]) -> Recipe:
    """The recipe as it stood when the run was left: its live edits were recorded with their steps."""
    for change in edits:
        if change.live:
            recipe = edit(recipe, change.path, change.new)
    return recipe


def built(recipe: Recipe, *, allow_code: bool) -> tuple[Training, Loaded]:
    """As assemble, on the user's data; what the code of a user's network raises is an AssemblyError as well."""
    try:
        return assemble(recipe, Places(root=data_root()), allow_code=allow_code)
    except (AssemblyError, DataError, DeviceError):
        raise
    except (Exception, SystemExit) as error:
        if not recipe.model.runs_code:
            raise  # a fault of ours
        raise AssemblyError(f"model: {told(error)}") from error


def reopen(run: RunDir, which: str = "best") -> Reopened:
    """Rebuild a run's training and put the weights of a checkpoint in: best, last, or a kept epoch's. Raises ReopenError."""
    path = run.checkpoint(which)
    try:
        recipe = recipe_of(run)
        saved = checkpoints.load(path)
        job, loaded = built(recipe, allow_code=allows_code(run))
        with fitting(path):
            job.model.load_state_dict(saved["model"])
            job.step = int(saved["step"])
    except (AssemblyError, DataError, DeviceError, CheckpointError, RecipeError) as error:
        raise ReopenError(str(error)) from error
    job.model.requires_grad_(False).eval()
    return Reopened(run, job, loaded, saved, which)
