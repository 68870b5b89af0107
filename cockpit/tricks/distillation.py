"""Distillation: learn from the answers of a finished run as well as from the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Outcome, Parts

if TYPE_CHECKING:
    from torch import Tensor

    from cockpit.travel import Criterion, Forward, Objective


class Taught:
    """The teacher beside the network that learns from it. It is no part of the network, and is rebuilt on a resume."""

    def __init__(self, settings: Distillation, parts: Parts) -> None:
        from cockpit.nets.deit import DistilledTransformer
        from cockpit.nets.finished import finished

        self._settings = settings
        found = finished(settings.teacher, parts.task)
        mean, std = parts.train.mean, parts.train.std
        self._teacher = found.model.requires_grad_(False).to(mean.device)
        self._size = found.task.height, found.task.width
        self._factor = std / found.std.to(mean.device)
        self._shift = (mean - found.mean.to(mean.device)) / found.std.to(mean.device)
        self._pupil = next((part for part in parts.model.modules() if isinstance(part, DistilledTransformer)), None)
        if self._pupil is not None:
            self._pupil.taught = True

    def answers(self, x: Tensor) -> Tensor:
        """The teacher's logits (B, K), without gradient, for images as the network in training sees them."""
        import torch
        from torch.nn import functional

        with torch.no_grad():
            if x.shape[2:] != self._size:  # the network trains on smaller ones
                x = functional.interpolate(x, size=self._size, mode="bilinear", antialias=True)
            logits: Tensor = self._teacher(x * self._factor + self._shift)
        return logits.float()

    def objective(self, inner: Objective, forward: Forward, criterion: Criterion) -> Objective:
        """(1 - weight) times what the loss was, and weight times the loss against the teacher."""
        settings, pupil = self._settings, self._pupil

        def taught(batch: Batch, at: Moment) -> Outcome:
            loss, logits = inner(batch, at)
            learning = logits if pupil is None or pupil.distilled is None else pupil.distilled.float()
            against = settings.against(learning, self.answers(batch.x))
            return Outcome((1 - settings.weight) * loss + settings.weight * against, logits)

        return taught

    def close(self) -> None:
        """A deit has no teacher any more."""
        if self._pupil is not None:
            self._pupil.taught = False


@card(
    "distillation",
    family="model",
    seams=("objective",),
    stage="forward",
    when="A good run on the same images is at hand, and a smaller or a less patient network is to come near it.",
    beware="Costs the teacher's forward pass at each step. A teacher trained with label smoothing or mixing is flatter, and "
    "teaches less. Keep the teacher's run: a resume reads it again.",
    source="Hinton et al. 2015, arXiv 1503.02531; Touvron et al. 2021, arXiv 2012.12877",
    conflicts={
        "multi_input": "the teacher sees one image where the network sees several",
        "no_labels": "a run that learns without labels has no answers to compare with the teacher's",
    },
    cautions={
        "index_only": "the teacher's part of the loss is a cross-entropy, whatever the other part is",
        "label_smoothing": "it softens the labels only; a teacher trained with it teaches less",
    },
)
class Distillation(Toggle):
    """Learn from a finished run's answers to the same augmented images as well as from the labels.

    The teacher sees them standardised as its own images were. In a deit the second head learns from the teacher, and the first
    one from the labels; elsewhere one head learns from both.
    """

    teacher: str = knob(help="the finished run: its directory, its id or its name")
    form: Literal["hard", "soft"] = knob("hard", help="learn the teacher's first choice, or all its probabilities")
    weight: float = knob(0.5, low=0, high=1, help="share of the teacher's part in the loss")
    temperature: float = knob(3.0, above=0, high=100, help="what logits are divided by before soft answers are compared")

    def plug(self, parts: Parts) -> Taught:
        """Rebuild the teacher. ValueError where there is none for this task."""
        return Taught(self, parts)

    def against(self, learning: Tensor, teacher: Tensor) -> Tensor:
        """The loss of logits (B, K) against the teacher's: cross-entropy with its first choice, or T^2 KL(teacher || network)
        at temperature T."""
        from torch.nn import functional

        if self.form == "hard":
            return functional.cross_entropy(learning, teacher.argmax(dim=1))
        ours, theirs = (functional.log_softmax(logits / self.temperature, dim=1) for logits in (learning, teacher))
        return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * self.temperature**2
