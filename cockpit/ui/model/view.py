"""One look at a run: everything the panes draw."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cockpit.recipe.values import Recipe
from cockpit.runs.directory import RunDir
from cockpit.runs.history import History
from cockpit.ui.model import run as runs
from cockpit.ui.model.curves import Curves, curves
from cockpit.ui.model.data import Data, data
from cockpit.ui.model.findings import Finding
from cockpit.ui.model.layers import Answers, LayerRow, answers, layers
from cockpit.ui.model.run import Header, Summary
from cockpit.ui.model.tricks import TrickRow
from cockpit.ui.model.words import STATES


@dataclass(frozen=True, eq=False)
class View:
    """What one poll brought, ready to draw. What only one pane draws is worked out when that pane asks for it."""

    state: str
    header: Header
    history: History = field(default_factory=History)
    recipe: Recipe | None = None
    scores: tuple[Any, ...] = ()
    """Of the looks at the sealed test set: accuracies, None where one was not recorded."""
    tricks: tuple[TrickRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    summary: Summary | None = None
    watched: bool = False
    """A loop of the user's own: it has no recipe, and cannot be begun again from here."""

    @cached_property
    def data(self) -> Data:
        """The source and its splits."""
        known = [score for score in self.scores if isinstance(score, (int, float))]
        return data(self.recipe, self.history, len(self.scores), known[-1] if known else None)

    @cached_property
    def layers(self) -> tuple[LayerRow, ...]:
        """A row a layer."""
        return layers(self.history)

    @cached_property
    def answers(self) -> Answers | None:
        """What the network answers."""
        return answers(self.history)

    @cached_property
    def machine(self) -> tuple[str, ...]:
        """The machine in a few lines."""
        return runs.machine(self.history)

    @cached_property
    def curves(self) -> Curves:
        """The content of the plots."""
        return curves(self.history)

    @property
    def ready(self) -> bool:
        """A recipe that has not been started."""
        return self.state == "ready"

    @property
    def live(self) -> bool:
        """A host holds the run, or is about to."""
        return self.state in ("new", "starting", "running", "paused")


def draft_view(name: str, recipe: Recipe, tricks: tuple[TrickRow, ...]) -> View:
    """A recipe before its start."""
    return View("ready", Header(name, "", STATES["ready"]), recipe=recipe, tricks=tricks, summary=runs.briefing(recipe))


def run_view(
    run: RunDir,
    state: str,
    history: History,
    recipe: Recipe | None,
    tricks: tuple[TrickRow, ...],
    looks: list[dict[str, Any]],
    log: list[str],
    found: tuple[Finding, ...],
    watched: bool,
) -> View:
    """A run as its directory tells it."""
    waiting = sum(bool(row.waiting) for row in tricks)
    return View(
        state=state,
        header=runs.header(run.name, run.id, state, history, log),
        history=history,
        recipe=recipe,
        scores=tuple(look.get("accuracy") for look in looks),
        tricks=tricks,
        findings=found,
        summary=runs.summary(run, state, history, waiting, watched),
        watched=watched,
    )
