"""One look at a run: everything the panes draw."""

from dataclasses import dataclass, field
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
    """What one poll brought, ready to draw."""

    state: str
    header: Header
    data: Data
    tricks: tuple[TrickRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    answers: Answers | None = None
    machine: tuple[str, ...] = ()
    curves: Curves = field(default_factory=Curves)
    summary: Summary | None = None
    watched: bool = False
    """A loop of the user's own: it has no recipe, and cannot be begun again from here."""

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
    return View(
        "ready", Header(name, "", STATES["ready"]), data(recipe, History(), 0, None), tricks, summary=runs.briefing(recipe)
    )


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
    scores = [look["accuracy"] for look in looks if isinstance(look.get("accuracy"), (int, float))]
    waiting = sum(bool(row.waiting) for row in tricks)
    return View(
        state=state,
        header=runs.header(run.name, run.id, state, history, log),
        data=data(recipe, history, len(looks), scores[-1] if scores else None),
        tricks=tricks,
        findings=found,
        layers=layers(history),
        answers=answers(history),
        machine=runs.machine(history),
        curves=curves(history),
        summary=runs.summary(run, state, history, waiting, watched),
        watched=watched,
    )
