"""What the other processes of a run do: build the training that the first one tells them of, and train it without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble
from cockpit.engine.distributed import Plan, connect, join, leave
from cockpit.engine.distributed_control import Follow
from cockpit.engine.keeper import Keeper
from cockpit.engine.logbook import Logbook
from cockpit.engine.loop import train
from cockpit.engine.recorder import Left, Recorder
from cockpit.recipe import loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from cockpit.engine.training import Training


class Deaf(Recorder):
    """Takes in nothing: the first process records for all."""

    def step(self, left: Left) -> None:
        """Let it go."""


class Mute(Logbook):
    """Writes nothing."""

    def __init__(self) -> None:
        """Without a run directory."""

    def write(self, event: Any) -> Any:
        """Nowhere."""
        return event

    def measured(self, *_: Any) -> None:
        """Nowhere."""

    def evaluated(self, *_: Any) -> None:
        """Nowhere."""


class Idle(Keeper):
    """Keeps nothing."""

    def __init__(self) -> None:
        super().__init__(Mute())

    def save_last(self, job: Training, reason: str) -> bool:
        """Not here."""
        return True

    def save_start(self, job: Training) -> None:
        """Not here."""

    def save_best(self, job: Training, scored: nn.Module) -> None:
        """Not here."""

    def save_epoch(self, job: Training, scored: nn.Module) -> None:
        """Not here."""


def follow(ready: Callable[[], None]) -> None:
    """Train what the first process trains, run after run, until it lets this one go; `ready` is called before each.

    Raises PeerLostError, and what assembling and training raise.
    """
    here = join()
    while plan := here.tell():
        assert isinstance(plan, Plan)
        ready()
        recipe = loads(plan.recipe.encode(), "recipe.yaml")
        connect(recipe)
        job, _ = assemble(recipe, Places(root=data_root(), say=lambda text: None), allow_code=plan.allow_code)
        train(job, Deaf(lambda steps, layers: None), Idle(), Follow())
    leave()
