"""The data pane: source, shape, splits, classes, and what the user should know of them."""

from dataclasses import dataclass

from cockpit.recipe.values import Recipe
from cockpit.runs.events import DataFacts
from cockpit.runs.history import History
from cockpit.ui.format import count, percent
from cockpit.ui.model.words import clean

DUPLICATES = {
    "train": "{} training images stand twice",
    "train_val": "{} val images are in training",
    "train_test": "{} test images are in training",
    "val_test": "{} test images are in validation",
}


@dataclass(frozen=True)
class Split:
    """One split: its size, and that as a share of the largest."""

    name: str
    count: str
    share: float
    note: str = ""


@dataclass(frozen=True)
class Data:
    """Everything the data pane says."""

    title: str
    splits: tuple[Split, ...] = ()
    classes: tuple[tuple[str, int], ...] = ()
    """Training images of each class."""
    notes: tuple[str, ...] = ()
    home: str = ""
    """Where the images wait until they are wanted."""


def data(recipe: Recipe | None, history: History, looks: int, accuracy: float | None) -> Data:
    """The data as measured by the run, or as the recipe asks for it before the run has begun."""
    if history.started is None:
        if recipe is None:
            return Data("not read yet")
        source = recipe.data
        limit = f", {count(source.limit)} images" if source.limit else ""
        val = percent(source.val) if source.val < 1 else count(int(source.val))
        return Data(f"{clean(source.card.name)}{limit}", notes=(f"validation {val} of training", "test: sealed"))
    facts = history.started.data
    return Data(
        title=f"{clean(facts.source)} {facts.height}×{facts.width}×{facts.channels}, {len(facts.classes)} cls",
        splits=_splits(facts, looks, accuracy),
        classes=tuple(zip(map(clean, facts.classes), facts.train_counts, strict=False)),
        notes=tuple(_duplicates(facts)) + tuple(clean(note.text) for note in history.notes),
        home=clean(facts.home),
    )


def _splits(facts: DataFacts, looks: int, accuracy: float | None) -> tuple[Split, ...]:
    largest = max(facts.train, facts.val, facts.test, 1)
    seen = f"{looks} look{'' if looks == 1 else 's'}"
    sealed = f"sealed · {seen}" if accuracy is None else f"opened · {seen} · {percent(accuracy, 2)}"
    known = (("train", facts.train, ""), ("val", facts.val, ""), ("test", facts.test, sealed))
    # A loop of the user's own need not say how many images it has, and has no sealed test set.
    return tuple(Split(name, count(number), number / largest, note) for name, number, note in known if number)


def _duplicates(facts: DataFacts) -> list[str]:
    return [DUPLICATES[key].format(count(number)) for key, number in facts.duplicates.items() if number and key in DUPLICATES]
