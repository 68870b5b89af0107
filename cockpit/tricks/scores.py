"""Scores: what says how good a network is on validation.

A class that is neither among the labels nor among the answers is left out of every mean over classes; one that is nobody's
answer has precision 0, one that is nobody's label recall 0. All of them together take a few hundredths of a second for
10,000 images of 100 classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cockpit.cards import card, knob
from cockpit.families import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

RETRIEVAL = "van Rijsbergen 1979, Information Retrieval, chapter 7"


def confusion(probabilities: Tensor, labels: Tensor) -> Tensor:
    """float64 (K, K): images by their class, row, and by the answer, column."""
    import torch

    classes = probabilities.shape[1]
    pairs = labels * classes + probabilities.argmax(dim=1)
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes).double()


@card(
    "accuracy",
    when="Classes of about the same size.",
    beware="Compare it with the share of the largest class: on unbalanced data a constant answer scores high.",
    source="Bishop 2006, Pattern Recognition and Machine Learning, section 1.5",
)
class Accuracy(Score):
    """Share of the images whose most probable class is the right one."""

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In [0, 1]."""
        return float((probabilities.argmax(1) == labels).double().mean())


@card(
    "balanced_accuracy",
    when="Classes of very different sizes that all matter alike.",
    beware="A class of five images weighs as much as one of five thousand, so the score is as noisy as its smallest class.",
    source="Brodersen et al. 2010, ICPR",
)
class BalancedAccuracy(Score):
    """Mean over the classes of the share that is found."""

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In [0, 1]; 1 / classes for a constant answer. Classes without images are left out."""
        table = confusion(probabilities, labels)
        images = table.sum(dim=1)
        return float((table.diagonal() / images)[images > 0].mean())


@card(
    "top_k",
    when="Many classes, some of them nearly the same.",
    beware="Says little with few classes: k of them are right by chance in a share k / classes of the images.",
    source="Russakovsky et al. 2015, arXiv 1409.0575",
)
class TopK(Score):
    """Share of the images whose class is among the k most probable."""

    k: int = knob(5, low=1, help="how many answers are allowed; fewer than there are classes")

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In [0, 1]; of equal ones the first count as more probable. ValueError where k answers would be all classes."""
        import torch

        classes = probabilities.shape[1]
        if self.k >= classes:
            raise ValueError(f"top_k: {self.k} answers of {classes} classes are always right; take k: {classes - 1} or fewer")
        right = probabilities.gather(1, labels[:, None])
        tied = (probabilities == right) & (torch.arange(classes) < labels[:, None])
        before = (~(probabilities <= right) | tied).sum(dim=1)  # a network of NaN has all of them before
        return float((before < self.k).double().mean())


@dataclass(frozen=True)
class _Retrieval(Score):
    """Scores of one class against the rest, from its hits, answers and images."""

    average: Literal["macro", "micro", "binary"] = knob(
        "macro", help="the mean over the classes, all answers as one (which is accuracy), or the positive class alone"
    )
    positive: int = knob(1, low=0, help="the class that binary looks at, counted from 0")

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In [0, 1]; 0 where the quotient is 0 / 0. ValueError where there is no such positive class."""
        import torch

        table = confusion(probabilities, labels)
        counts = torch.stack([table.diagonal(), table.sum(dim=0), table.sum(dim=1)])
        if self.average == "binary":
            if self.positive >= len(table):
                raise ValueError(
                    f"{self.card.name}: there is no class {self.positive}; the last of {len(table)} is {len(table) - 1}"
                )
            counts = counts[:, self.positive, None]
        elif self.average == "micro":
            counts = counts.sum(dim=1, keepdim=True)
        else:
            counts = counts[:, counts[1] + counts[2] > 0]
        return float(self.of(*counts).nan_to_num(0.0).mean())

    def of(self, hits: Tensor, answers: Tensor, images: Tensor) -> Tensor:
        """The score of each class from float64 counts (classes,); NaN where it is 0 / 0."""
        raise NotImplementedError


@card(
    "precision",
    when="A false alarm is dear.",
    beware="A network that hardly ever answers can have all of it: look at recall beside it.",
    source=RETRIEVAL,
)
class Precision(_Retrieval):
    """Share of the answers that are right."""

    def of(self, hits: Tensor, answers: Tensor, images: Tensor) -> Tensor:
        """TP / (TP + FP)."""
        return hits / answers


@card(
    "recall",
    when="A miss is dear.",
    beware="A network that always gives the same answer has all of it for that class: look at precision beside it.",
    source=RETRIEVAL,
)
class Recall(_Retrieval):
    """Share of a class's images that are found."""

    def of(self, hits: Tensor, answers: Tensor, images: Tensor) -> Tensor:
        """TP / (TP + FN)."""
        return hits / images


@card(
    "f1",
    when="Precision and recall in one number.",
    beware="macro is the mean of each class's F1, not the F1 of the mean precision and recall; papers mix the two.",
    source=RETRIEVAL,
)
class F1(_Retrieval):
    """Harmonic mean of precision and recall."""

    def of(self, hits: Tensor, answers: Tensor, images: Tensor) -> Tensor:
        """2 TP / (2 TP + FP + FN)."""
        return 2 * hits / (answers + images)


@card(
    "mean_iou",
    when="To compare with segmentation, which counts pixels in the same way.",
    beware="Counts images here. Always below F1.",
    source="Jaccard 1912; Everingham et al. 2010, IJCV 88",
)
class MeanIou(Score):
    """Mean over the classes of right answers over all images that are of the class or were called so."""

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """TP / (TP + FP + FN), in [0, 1]."""
        table = confusion(probabilities, labels)
        union = table.sum(dim=0) + table.sum(dim=1) - table.diagonal()
        return float((table.diagonal() / union)[union > 0].mean())


@card(
    "average_precision",
    when="Images are ranked for each class and the first ones looked at.",
    beware="Reads the order of the probabilities, not the answers. Object detection, which matches boxes, means another.",
    source="Everingham et al. 2010, IJCV 88",
)
class AveragePrecision(Score):
    """Area under precision over recall, one class against the rest, averaged."""

    average: Literal["macro", "micro"] = knob("macro", help="the mean over the classes, or all answers in one ranking")

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In [0, 1]; classes without images are left out."""
        import numpy as np

        table, truth = probabilities.numpy(), labels.numpy()

        if self.average == "micro":
            return _area(table.ravel(), (truth[:, None] == np.arange(table.shape[1])).ravel())
        columns = np.ascontiguousarray(table.T)
        return float(np.mean([_area(columns[which], truth == which) for which in np.unique(truth)]))


def _area(scores: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The mean, over what is wanted, of the precision down to its score; ties come in together."""
    import numpy as np

    everything, found = np.sort(scores), np.sort(scores[wanted])  # numpy sorts an order of magnitude faster than torch
    right = len(found) - np.searchsorted(found, found)
    seen = len(scores) - np.searchsorted(everything, found)
    return float((right / seen).mean())


@card(
    "mse",
    when="One number for right answers and honest probabilities.",
    beware="Summed over the classes, averaged over the images: from 0 to 2. With two classes it is twice what some call it.",
    source="Brier 1950, Monthly Weather Review 78",
)
class BrierScore(Score):
    """Squared distance of the probabilities to the one-hot truth, the Brier score."""

    higher_is_better: ClassVar[bool] = False

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In [0, 2]; 1 - 1 / classes for equal probabilities."""
        from torch.nn import functional

        truth = functional.one_hot(labels, probabilities.shape[1])
        return float((probabilities - truth).square().sum(dim=1).double().mean())


@card(
    "log_loss",
    when="Probabilities matter, or accuracy is too coarse to tell two networks apart.",
    beware="One image that is wrong and sure can outweigh a hundred; it may rise while accuracy still rises.",
    source="Good 1952, Journal of the Royal Statistical Society B 14",
)
class LogLoss(Score):
    """Minus the log of the true class's probability, without smoothing or weights."""

    higher_is_better: ClassVar[bool] = False

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In nats; ln(classes) for equal probabilities. A probability of 0 counts as the smallest normal number."""
        import torch

        right = probabilities.gather(1, labels[:, None])
        return float(-right.clamp(min=torch.finfo(right.dtype).tiny).double().log().mean())


@card(
    "ece",
    when="The probabilities are to be believed.",
    beware="Says nothing of the accuracy: a network that answers at chance and says so has none of it. Depends on the bins.",
    source="Guo et al. 2017, arXiv 1706.04599",
)
class Ece(Score):
    """Expected calibration error: the gap between confidence and accuracy, averaged over bins of confidence."""

    higher_is_better: ClassVar[bool] = False

    bins: int = knob(15, low=5, high=50, help="bins of equal width")

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In [0, 1]; bins are open below and closed above."""
        import torch

        sure, answer = probabilities.max(dim=1)
        sure = sure.double()
        bin_of = (sure * self.bins).ceil().long().clamp(1, self.bins) - 1
        gap = torch.zeros(self.bins, dtype=torch.float64).index_add_(0, bin_of, sure - (answer == labels).double())
        return float(gap.abs().sum() / len(labels))
