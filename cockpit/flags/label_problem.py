"""Labels of one class only, of classes that the network has no output for, or of classes too rare to be learned."""

import math
from typing import ClassVar, NamedTuple

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._shared import accuracy_error, has, planned, setting
from cockpit.runs.events import DataFacts, Remedy
from cockpit.runs.history import History

COLLECT = Remedy(label="collect more images of the rare classes, and score by balanced_accuracy or by class", since="start")
LOADER = Remedy(
    label="look at the labels as the loader gives them, and at the order of the data before the split", since="start"
)
WIDTH = Remedy(label="give the network one output for each class, and count the classes from 0", since="start")


class Missed(NamedTuple):
    """A rare class that validation shows to be unknown."""

    name: str
    recall: float
    train: int
    val: int


@card(
    "label_problem",
    when="Before the first step, and again when the frequent classes are known: accuracy hides what a rare class suffers.",
    beware="Uneven classes are legal and common: they are a note. A recall over few validation images says nothing.",
    source="Amazon SageMaker Debugger, rule ClassImbalance; Buda et al. 2018, arXiv 1710.05381",
)
class LabelProblem(Flag):
    """Uneven classes are a note, and a warning where a rare one stays unrecognised while the others are known."""

    moment: ClassVar[Moment] = "start"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 8

    uneven: float = knob(5.0, above=1, high=1e6, help="a class is rare with less than one image for so many of the largest")
    recall: float = knob(0.3, above=0, below=1, help="recall of a rare class below which it counts as not learned")
    images: int = knob(50, low=10, high=1_000_000, help="validation images of a class that make its recall worth a word")
    patience: int = knob(3, low=2, high=1000, help="evaluations, or a fifth of the run, in which that recall did not rise")

    def look(self, history: History) -> Sign | None:
        """Counts the training labels; once uneven ones are found, reads the recalls as well."""
        started = history.started
        counts = started.data.train_counts if started else ()
        if started is None or not sum(counts) or has(history, "no_labels"):
            return None
        outputs = history.measured.outputs if history.measured else None
        answers = max(outputs.width, 2) if outputs and started.criterion != "values" else len(counts)
        highest = max(place for place, count in enumerate(counts) if count) + 1
        if highest > answers:
            headline = f"labels go up to class {highest - 1}, and the network tells {answers} classes apart"
            why = "No answer can be right for such an image, and the loss may fall without end."
            return Sign("critical", headline, why, {"classes": highest, "outputs": answers}, (WIDTH,), conclusive=True)
        if max(counts) == sum(counts):
            why = "There is nothing to tell apart: the network learns to say one word."
            return Sign(
                "critical", "all training images are of one class", why, {"images": sum(counts)}, (LOADER,), conclusive=True
            )
        least = min(counts)
        if least * self.uneven >= max(counts):
            return None
        missed = self._missed(history)
        if missed:
            return _unlearned(missed, history)
        rarest = _name(started.data, counts.index(least))
        return Sign(
            severity="info",
            headline=f"{least:,} training images of class {rarest}, {max(counts):,} of the largest class",
            why="Accuracy counts images, not classes: it may look good while rare classes are never found.",
            evidence={"smallest class": least, "largest class": max(counts)},
            remedies=_weigh(history),
        )

    def _missed(self, history: History) -> list[Missed]:
        """Rare classes whose recall is low and does not rise, while the frequent ones are known; the least known first."""
        assert history.started
        data, looks = history.started.data, history.evaluations
        epochs = planned(history) // max(history.started.steps_per_epoch, 1)
        window = looks[-max(self.patience, epochs // 5) :]
        if len(window) < max(self.patience, epochs // 5) or any(len(seen.recalls) != len(data.train_counts) for seen in window):
            return []
        largest, now = max(data.train_counts), window[-1].recalls
        frequent = [now[place] for place, count in enumerate(data.train_counts) if count * self.uneven >= largest]
        if not sum(frequent) / len(frequent) > 0.5 or len(data.val_counts) != len(now):
            return []
        found = []
        for place, (count, images) in enumerate(zip(data.train_counts, data.val_counts, strict=True)):
            every = [seen.recalls[place] for seen in window]
            gained = every[-1] - every[0] > 2 * math.sqrt(2) * accuracy_error(max(every[0], every[-1]), images)
            if count * self.uneven < largest and images >= self.images and max(every) < self.recall and not gained:
                found.append(Missed(_name(data, place), every[-1], count, images))
        return sorted(found, key=lambda one: one.recall)


def _unlearned(missed: list[Missed], history: History) -> Sign:
    worst = missed[0]
    more = f", likewise {len(missed) - 1} more" if len(missed) > 1 else ""
    return Sign(
        severity="warning",
        headline=f"class {worst.name} not learned from {worst.train:,} images: {worst.recall:.0%} of {worst.val} known{more}",
        why="The network has learned that saying this class does not pay: it is too rare to matter to the loss.",
        evidence={f"recall of {one.name}": one.recall for one in missed[:8]},
        remedies=_weigh(history),
        conclusive=True,
    )


def _weigh(history: History) -> tuple[Remedy, ...]:
    """Class weights where the loss has them and they are off; more images of the rare classes in any case."""
    loss = setting(history, "loss")
    weighable = isinstance(loss, dict) and loss.get("name") == "cross_entropy" and loss.get("class_weight") != "balanced"
    edits = (("loss.class_weight", "balanced"),)
    balanced = Remedy(label="count each class alike in the loss", edits=edits, since="start")
    return (balanced, COLLECT) if weighable else (COLLECT,)


def _name(data: DataFacts, place: int) -> str:
    return data.classes[place] if place < len(data.classes) else str(place)
