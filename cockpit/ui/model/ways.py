"""How a remedy would be applied, said before it is."""

from collections.abc import Sequence
from enum import Enum

from cockpit.recipe import Recipe, changes, edit
from cockpit.recipe.faults import RecipeError
from cockpit.runs.events import Checkpointed, Flagged, Remedy
from cockpit.runs.history import History
from cockpit.runs.remedies import way


class Way(Enum):
    """What pressing a remedy's key leads to: a word or two for the list, a sentence for the question."""

    COMMAND = ("ends the run", "The run finishes its step, writes a checkpoint, and ends.")
    LIVE = ("at once", "The run goes on with the change from its next step.")
    ROLLBACK = (
        "goes back",
        "The run goes back to its last healthy checkpoint{} and trains on from there with the change; "
        "the steps after it no longer count.",
    )
    FORK = (
        "new run",
        "This needs a new run from the first step: this run stops with a checkpoint, the new one starts with the change, and "
        "this screen follows it.",
    )
    DRAFT = ("new run", "This run has ended: the change opens as a new run, ready to start.")
    ADVICE = ("in your script", "This run is a loop of your own: make the change in your script and start it again.")
    UNKNOWN = ("", "The run decides how: at once, from a checkpoint, or not at all.")

    @property
    def word(self) -> str:
        """In a word or two; empty where there is nothing to add."""
        return self.value[0]

    def sentence(self, refuge: str = "") -> str:
        """What will happen to the run. `refuge`: where it goes back to."""
        return str(self.value[1]).format(f", of {refuge}," if refuge else "")


HOSTS = {"live": Way.LIVE, "rollback": Way.ROLLBACK, "fork": Way.FORK}


def way_of(remedy: Remedy, recipe: Recipe | None, *, live: bool, watched: bool = False, refuge: bool = False) -> Way:
    """The way of a remedy for a run that is `live` or has ended, as its host will decide it.

    `recipe`: the one that holds; None: it cannot be read. `refuge`: there is a healthy checkpoint to go back to.
    """
    if live and (remedy.verb == "stop" or not remedy.edits):
        return Way.COMMAND  # a run that ends takes no edits
    if watched:
        return Way.LIVE if live and _of_the_optimizer(remedy.edits) else Way.ADVICE
    if not live:
        return Way.DRAFT
    if recipe is None:
        return Way.UNKNOWN
    return HOSTS[way(remedy, _changes_live(recipe, remedy.edits), refuge)]


def refuge_of(history: History, finding: Flagged) -> Checkpointed | None:
    """Where a remedy of a finding would go back to: the newest healthy checkpoint before it, of the two that are kept."""
    kept = [seen for seen in history.checkpoints if seen.reason == "healthy"][-2:]
    return next((seen for seen in reversed(kept) if seen.step < finding.step or seen.step == 0), None)


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
