"""How a remedy would be applied, said before it is."""

from collections.abc import Sequence
from enum import Enum

from cockpit.recipe import Recipe, changes, edit
from cockpit.recipe.faults import RecipeError
from cockpit.runs.events import Remedy


class Way(Enum):
    """What pressing a remedy's key leads to: a word or two for the list, a sentence for the question."""

    COMMAND = ("", "The run is told at once.")
    LIVE = ("at once", "The run goes on with the change from its next step.")
    ROLLBACK = (
        "goes back",
        "The run goes back to its last healthy checkpoint and trains on from there with the change; "
        "the steps after it no longer count.",
    )
    FORK = (
        "new run",
        "This needs a new run from the first step: this run stops with a checkpoint, and the new one starts with the change.",
    )
    DRAFT = ("new run", "This run has ended: the change opens as a new run, ready to start.")
    ADVICE = ("in your script", "This run is a loop of your own: make the change in your script and start it again.")
    UNKNOWN = ("", "The run decides how: at once, from a checkpoint, or not at all.")

    @property
    def word(self) -> str:
        """In a word or two; empty where there is nothing to add."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """What will happen to the run."""
        return self.value[1]


def way_of(remedy: Remedy, recipe: Recipe | None, *, live: bool, watched: bool) -> Way:
    """The way of a remedy for a run that is `live` or has ended, with the recipe that holds (None: it cannot be read)."""
    if watched:
        return Way.LIVE if live and _of_the_optimizer(remedy.edits) else Way.ADVICE
    if not live:
        return Way.DRAFT
    if not remedy.edits:
        return Way.COMMAND
    if recipe is None:
        return Way.UNKNOWN
    if remedy.since == "start" or not _changes_live(recipe, remedy.edits):
        return Way.FORK
    return Way.ROLLBACK if remedy.since == "before" else Way.LIVE


def _of_the_optimizer(edits: Sequence[tuple[str, str]]) -> bool:
    """All that a run without a recipe can change of itself."""
    return bool(edits) and all(path in ("optimizer.lr", "optimizer.weight_decay") for path, _ in edits)


def _changes_live(recipe: Recipe, edits: Sequence[tuple[str, str]]) -> bool:
    try:
        new = recipe
        for path, value in edits:
            new = edit(new, path, value)
    except RecipeError:
        return False
    return all(change.live for change in changes(recipe, new))
