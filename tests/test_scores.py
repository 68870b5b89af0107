"""Scores against scikit-learn, and against sums by hand where it has none."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from choices import make
from sklearn import metrics
from torch import Tensor
from torch.nn import functional

from cockpit.catalog import family

Sample = tuple[Tensor, Tensor]


def sample(classes: int, count: int = 200, present: tuple[int, ...] = (), rounded: int | None = None, seed: int = 0) -> Sample:
    """Probabilities that know a little of the labels; rounded ones have many ties."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.tensor(present or range(classes))[torch.randint(len(present) or classes, (count,), generator=draw)]
    logits = 2 * torch.randn(count, classes, generator=draw)
    logits[torch.arange(count), labels] += 1.5
    if rounded is not None:
        logits = logits.round(decimals=rounded)
    return logits.softmax(1), labels


def constant(classes: int, answer: int) -> Sample:
    probabilities = torch.full((50, classes), 0.3 / (classes - 1))
    probabilities[:, answer] = 0.7
    return probabilities, torch.arange(50) % classes


SAMPLES: dict[str, Sample] = {
    "ten": sample(10),
    "two": sample(2),
    "ties": sample(4, rounded=0),
    "absent": sample(6, present=(0, 2, 5)),
    "one label": sample(4, present=(3,)),
    "one answer": constant(5, 2),
    "never right": (torch.eye(3)[[1, 2, 0]], torch.tensor([0, 1, 2])),
    "one image": (torch.tensor([[0.2, 0.5, 0.3]]), torch.tensor([1])),
    "equal": (torch.full((30, 3), 1 / 3), torch.arange(30) % 3),
}


def answers(probabilities: Tensor) -> np.ndarray:
    return probabilities.argmax(1).numpy()


def average_precision(probabilities: Tensor, labels: Tensor) -> float:
    present = labels.unique().tolist()
    return float(
        np.mean([metrics.average_precision_score((labels == c).numpy(), probabilities[:, c].double().numpy()) for c in present])
    )


def brier(probabilities: Tensor, labels: Tensor) -> float:
    rows = zip(probabilities.tolist(), labels.tolist(), strict=True)
    return float(np.mean([sum((p - (c == true)) ** 2 for c, p in enumerate(row)) for row, true in rows]))


def retrieval(name: str, **said: Any) -> Callable[[Tensor, Tensor], float]:
    measure = getattr(metrics, f"{name}_score")
    return lambda p, y: float(measure(y.numpy(), answers(p), zero_division=0, **said))


THEIRS: list[tuple[str, dict[str, Any], Callable[[Tensor, Tensor], float]]] = [
    ("accuracy", {}, lambda p, y: float(metrics.accuracy_score(y.numpy(), answers(p)))),
    ("balanced_accuracy", {}, lambda p, y: float(metrics.balanced_accuracy_score(y.numpy(), answers(p)))),
    *[(name, {}, retrieval(name, average="macro")) for name in ("precision", "recall", "f1")],
    *[(name, {"average": "micro"}, retrieval(name, average="micro")) for name in ("precision", "recall", "f1")],
    ("mean_iou", {}, retrieval("jaccard", average="macro")),
    ("mse", {}, brier),
    ("average_precision", {}, average_precision),
    (
        "average_precision",
        {"average": "micro"},
        lambda p, y: float(metrics.average_precision_score(np.eye(p.shape[1])[y].ravel(), p.double().numpy().ravel())),
    ),
]


@pytest.mark.parametrize("which", SAMPLES)
@pytest.mark.parametrize(("name", "knobs", "theirs"), THEIRS)
def test_score_is_that_of_scikit_learn(name: str, knobs: dict[str, Any], theirs: Callable[..., float], which: str) -> None:
    with warnings.catch_warnings(action="ignore"):  # of classes that are absent, which is the point
        expected = theirs(*SAMPLES[which])
    assert make("score", name, **knobs).measure(*SAMPLES[which]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("which", [which for which in SAMPLES if which != "never right"])
def test_log_loss_is_that_of_scikit_learn(which: str) -> None:
    probabilities, labels = SAMPLES[which]
    exact = functional.normalize(probabilities.double(), p=1)
    expected = metrics.log_loss(labels.numpy(), exact.numpy(), labels=range(probabilities.shape[1]))
    assert make("score", "log_loss").measure(probabilities, labels) == pytest.approx(expected, rel=1e-5)


def test_a_probability_of_zero_has_a_finite_log() -> None:
    assert make("score", "log_loss").measure(*SAMPLES["never right"]) == pytest.approx(87.3, abs=0.1)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@pytest.mark.parametrize("which", ["two", "ten", "absent", "one answer", "one label"])
def test_one_class_against_the_rest(name: str, which: str) -> None:
    probabilities, labels = SAMPLES[which]
    measure = getattr(metrics, f"{name}_score")
    for positive in range(probabilities.shape[1]):
        expected = measure(labels == positive, answers(probabilities) == positive, zero_division=0)
        score = make("score", name, average="binary", positive=positive)
        assert score.measure(probabilities, labels) == pytest.approx(float(expected))


def test_a_positive_class_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="f1: there is no class 2; the last of 2 is 1"):
        make("score", "f1", average="binary", positive=2).measure(*SAMPLES["two"])


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_top_k_is_that_of_scikit_learn(k: int) -> None:
    probabilities, labels = SAMPLES["ten"]
    expected = metrics.top_k_accuracy_score(labels.numpy(), probabilities.numpy(), k=k, labels=range(10))
    assert make("score", "top_k", k=k).measure(probabilities, labels) == pytest.approx(float(expected))


def test_top_k_does_not_count_every_tie_as_right() -> None:
    assert make("score", "top_k", k=2).measure(*SAMPLES["equal"]) == pytest.approx(2 / 3)
    assert make("score", "top_k", k=2).measure(torch.full((9, 3), torch.nan), torch.arange(9) % 3) == 0


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_as_many_answers_as_classes_are_refused(classes: int) -> None:
    with pytest.raises(ValueError, match=f"5 answers of {classes} classes are always right; take k: {classes - 1} or fewer"):
        make("score", "top_k").measure(*sample(classes))


def test_plain_and_balanced_accuracy_differ_where_classes_do() -> None:
    probabilities, labels = torch.eye(3)[[0, 0, 0, 0]], torch.tensor([0, 0, 0, 2])
    assert make("score", "accuracy").measure(probabilities, labels) == 0.75
    assert make("score", "balanced_accuracy").measure(probabilities, labels) == 0.5


def slow_ece(probabilities: Tensor, labels: Tensor, bins: int) -> float:
    total, count = 0.0, len(labels)
    rows = [(max(row), row.index(max(row)) == true) for row, true in zip(probabilities.tolist(), labels.tolist(), strict=True)]
    for number in range(bins):
        inside = [(sure, right) for sure, right in rows if number / bins < sure <= (number + 1) / bins]
        if inside:
            sure, right = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            total += len(inside) / count * abs(sure - right)
    return total


@pytest.mark.parametrize("bins", [5, 15, 50])
@pytest.mark.parametrize("which", SAMPLES)
def test_calibration_is_the_gap_in_each_bin(which: str, bins: int) -> None:
    assert make("score", "ece", bins=bins).measure(*SAMPLES[which]) == pytest.approx(slow_ece(*SAMPLES[which], bins), abs=1e-6)


def test_the_edge_of_a_bin_belongs_to_the_bin_below() -> None:
    probabilities = torch.tensor([[0.75, 0.25], [0.7, 0.3]], dtype=torch.float64)
    measured = make("score", "ece", bins=8).measure(probabilities, torch.tensor([0, 1]))
    assert measured == pytest.approx(abs(0.75 + 0.7 - 1) / 2)  # one bin; in two it would be (0.25 + 0.7) / 2


def test_which_way_is_better() -> None:
    lower = {name for name, card in family("score").items() if not card.cls.higher_is_better}
    assert lower == {"mse", "log_loss", "ece"}
    perfect = torch.eye(4)[[0, 1, 2, 3]], torch.arange(4)
    for name, card in family("score").items():
        knobs = {"k": 2} if name == "top_k" else {}
        assert make("score", name, **knobs).measure(*perfect) == (1.0 if card.cls.higher_is_better else 0.0)


def test_a_network_of_nan_is_scored_without_an_error() -> None:
    for name in family("score"):
        make("score", name).measure(torch.full((20, 10), torch.nan), torch.arange(20) % 10)


def test_all_scores_of_ten_thousand_images_are_quick() -> None:
    probabilities, labels = sample(100, 10_000)
    scores = [make("score", name) for name in family("score")]

    def seconds() -> float:
        began = time.perf_counter()
        for score in scores:
            score.measure(probabilities, labels)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.15  # 0.02 on a quiet machine
