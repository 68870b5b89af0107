"""Adversarial training: train on images that were moved a little, against the network as it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Outcome, Parts
from cockpit.tricks._sent import sent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cockpit.travel import Criterion, Forward, Objective

    Make = Callable[[Forward, Tensor, Tensor, Moment], Tensor]
    """(pixels -> logits, x, y, the step) -> the images moved."""

ONE_ATTACK = {"adversarial": "one attack for a batch"}
MINDED = {
    "mixes": "the attack moves the unmixed images towards a wrong answer for their own labels; only the clean part is mixed",
    "label_smoothing": "the attack itself is made without smoothing",
    "distillation": "the teacher sees the clean images, and at weight 1 their part of the loss is left out",
    "batch": "its statistics stand still in the attack, and take in the moved images in training: clean accuracy drops",
}
EPSILON = "farthest that a pixel moves, on the scale from 0 to 1: 0.1 for digits, 0.0314 (8/255) for colour photographs"
WEIGHT = "share of the moved images in the loss; at 1 the pass over the clean ones is left out"


class Adversary:
    """Keeps the moved images of each batch from the attack stage until the objective asks for them.

    ValueError where the network has no gradient to move an image by.
    """

    def __init__(self, weight: float, parts: Parts, make: Make, *, batch_statistics: bool = False) -> None:
        from torch.utils.weak import WeakTensorKeyDictionary

        from cockpit.nets.attack import reaches_images

        if not reaches_images(parts.model, parts.task):
            raise ValueError(
                "no gradient reaches the images through this network, to move them by; take another model.activation"
            )
        self._weight, self._make, self._batch_statistics = weight, make, batch_statistics
        self._net, self._train = parts.model, parts.train
        self._moved = WeakTensorKeyDictionary()

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """Attack the images as they are, with their hard labels, and pass them on untouched."""

        def forward(x: Tensor) -> Tensor:
            logits: Tensor = self._net(self._train.standardise(batch._replace(x=x)).x)
            return logits.float()

        from cockpit.nets.attack import still

        with still(self._net, batch_statistics=self._batch_statistics):
            moved = self._make(forward, batch.x, batch.y, at)
        self._moved[batch.ids] = self._train.standardise(batch._replace(x=moved))
        return batch

    def objective(self, inner: Objective, forward: Forward, criterion: Criterion) -> Objective:
        """(1 - weight) times the loss as it was, plus weight times that of the moved images, where the batch has some."""

        def hardened(batch: Batch, at: Moment) -> Outcome:
            moved = self._moved.get(batch.ids)
            if moved is None:
                return inner(batch, at)
            if self._weight == 1:
                logits = forward(moved.x)
                return Outcome(criterion(logits, moved.y), logits)
            clean = inner(batch, at)
            hard = criterion(forward(moved.x), moved.y)
            return clean._replace(loss=(1 - self._weight) * clean.loss + self._weight * hard)

        return hardened


def noise(like: Tensor, epsilon: float, stream: torch.Generator) -> Tensor:
    """Uniform in the box of epsilon, in the shape of `like`."""
    import torch

    return epsilon * sent(2 * torch.rand(like.shape, generator=stream) - 1, like.device)


@card(
    "fgsm",
    family="adversarial",
    seams=("batch", "objective"),
    stage="attack forward",
    live=True,
    conflicts=ONE_ATTACK,
    cautions=MINDED,
    when="To see what an attack is, and for a little robustness at the price of two more passes.",
    beware="Clean accuracy drops. May become safe against itself alone: check with pgd.",
    source="Goodfellow et al. 2015, arXiv 1412.6572",
)
class Fgsm(Toggle):
    """Train also on images moved by one step along the sign of the input gradient."""

    epsilon: float = knob(0.1, low=0, high=0.5, help=EPSILON)
    weight: float = knob(0.5, low=0, high=1, help=WEIGHT)
    bn: Literal["eval", "train"] = knob("eval", help="in the attack, batch norm uses its running statistics or the batch's")

    def plug(self, parts: Parts) -> Adversary:
        """It attacks the network as the other tricks made it."""
        return Adversary(self.weight, parts, self.moved, batch_statistics=self.bn == "train")

    def moved(self, forward: Forward, x: Tensor, y: Tensor, at: Moment) -> Tensor:
        """One step of epsilon."""
        from cockpit.nets.attack import attack

        return attack(forward, x, y, self.epsilon, self.epsilon, 1, None)


@card(
    "fgsm_rs",
    family="adversarial",
    seams=("batch", "objective"),
    stage="attack forward",
    live=True,
    conflicts=ONE_ATTACK,
    cautions=MINDED,
    when="Robustness at about twice the cost of plain training.",
    beware="Clean accuracy drops. May collapse: accuracy under pgd falls to 0 while that under fgsm stays high.",
    source="Wong et al. 2020, arXiv 2001.03994",
)
class FgsmRs(Toggle):
    """Train on images moved by one step from a random point near by."""

    epsilon: float = knob(0.1, low=0, high=0.5, help=EPSILON)
    alpha: float = knob(1.25, low=0.5, high=2, help="length of the step, as a multiple of epsilon")
    weight: float = knob(1.0, low=0, high=1, help=WEIGHT)

    def plug(self, parts: Parts) -> Adversary:
        """It attacks the network as the other tricks made it."""
        return Adversary(self.weight, parts, self.moved)

    def moved(self, forward: Forward, x: Tensor, y: Tensor, at: Moment) -> Tensor:
        """One step from a random start."""
        from cockpit.nets.attack import attack

        start = noise(x, self.epsilon, at.stream("fgsm_rs"))
        return attack(forward, x, y, self.epsilon, self.alpha * self.epsilon, 1, start)


@card(
    "pgd",
    family="adversarial",
    seams=("batch", "objective"),
    stage="attack forward",
    live=True,
    conflicts=ONE_ATTACK,
    cautions=MINDED,
    when="Robustness that holds against attacks of many steps.",
    beware="Clean accuracy drops, and a step costs as many times more as the attack has steps.",
    source="Madry et al. 2018, arXiv 1706.06083",
)
class Pgd(Toggle):
    """Train on images moved by several small steps from a random point, never out of the box around the original."""

    epsilon: float = knob(0.1, low=0, high=0.5, help=EPSILON)
    steps: int = knob(7, low=1, high=50, help="steps of the attack")
    alpha: float = knob(0.25, above=0, high=2, help="length of a step, as a multiple of epsilon")
    restarts: int = knob(1, low=1, high=10, help="attacks from different starts, of which the worst counts for each image")
    weight: float = knob(1.0, low=0, high=1, help=WEIGHT)

    def plug(self, parts: Parts) -> Adversary:
        """It attacks the network as the other tricks made it."""
        return Adversary(self.weight, parts, self.moved)

    def moved(self, forward: Forward, x: Tensor, y: Tensor, at: Moment) -> Tensor:
        """The attack whose loss is largest, image by image."""
        import torch

        stream = at.stream("pgd")
        worst = self._once(forward, x, y, stream)
        for _ in range(1, self.restarts):
            other = self._once(forward, x, y, stream)
            worse = (losses(forward, other, y) > losses(forward, worst, y)).view(-1, 1, 1, 1)
            worst = torch.where(worse, other, worst)
        return worst

    def _once(self, forward: Forward, x: Tensor, y: Tensor, stream: torch.Generator) -> Tensor:
        from cockpit.nets.attack import attack

        start = noise(x, self.epsilon, stream)
        return attack(forward, x, y, self.epsilon, self.alpha * self.epsilon, self.steps, start)


def losses(forward: Forward, x: Tensor, y: Tensor) -> Tensor:
    """(B,): the cross-entropy of each image."""
    import torch
    from torch.nn import functional

    with torch.no_grad():
        return functional.cross_entropy(forward(x), y, reduction="none")
