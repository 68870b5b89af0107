"""Losses against plain sums of logarithms and squares, one number at a time."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from choices import make
from torch import Tensor

from cockpit.travel import Task

TASK = Task(1, 8, 8, 3)
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]], dtype=torch.float64)
HARD = torch.tensor([0, 2])
SOFT = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.1, 0.8]], dtype=torch.float64)
ONE_HOT = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
TARGETS = [(HARD, ONE_HOT), (SOFT, SOFT.tolist())]


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


def cross_entropy(row: list[float], wanted: list[float]) -> float:
    return -sum(share * math.log(p) for share, p in zip(wanted, softmax(row), strict=True))


def bce(row: list[float], wanted: list[float]) -> float:
    return -sum(q * log_sigmoid(z) + (1 - q) * log_sigmoid(-z) for z, q in zip(row, wanted, strict=True))


def squares(row: list[float], wanted: list[float]) -> float:
    return sum((z - q) ** 2 for z, q in zip(row, wanted, strict=True))


Formula = Callable[[list[float], list[float]], float]
CASES: list[tuple[str, dict[str, Any], Formula]] = [
    ("cross_entropy", {}, cross_entropy),
    ("bce", {}, lambda row, wanted: bce(row, wanted) / 3),
    ("bce", {"sum_classes": True}, bce),
    ("bce", {"target_threshold": 0.2}, lambda row, wanted: bce(row, [float(q > 0.2) for q in wanted]) / 3),
    ("mse", {}, lambda row, wanted: squares(row, wanted) / 3),
    ("mse", {"scale": 5.0}, lambda row, wanted: squares(row, [5 * q for q in wanted]) / 3),
    ("mse", {"on": "softmax"}, lambda row, wanted: squares(softmax(row), wanted) / 3),
]


@pytest.mark.parametrize(("target", "rows"), TARGETS, ids=["indices", "soft"])
@pytest.mark.parametrize(("name", "knobs", "plain"), CASES)
def test_loss_is_the_mean_of_its_formula(
    name: str, knobs: dict[str, Any], plain: Formula, target: Tensor, rows: list[list[float]]
) -> None:
    loss = make("loss", name, **knobs).build(TASK)(LOGITS, target)
    expected = sum(plain(row, wanted) for row, wanted in zip(LOGITS.tolist(), rows, strict=True)) / len(rows)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["cross_entropy", "bce", "mse"])
def test_one_hot_rows_and_indices_are_the_same_target(name: str) -> None:
    criterion = make("loss", name).build(TASK)
    torch.testing.assert_close(criterion(LOGITS, HARD), criterion(LOGITS, torch.tensor(ONE_HOT, dtype=torch.float64)))


def test_the_loss_of_a_network_that_knows_nothing() -> None:
    nothing = torch.zeros(4, 10)
    target = torch.tensor([0, 3, 5, 9])
    assert float(make("loss", "cross_entropy").build(TASK)(nothing, target)) == pytest.approx(math.log(10))
    assert float(make("loss", "bce").build(TASK)(nothing, target)) == pytest.approx(math.log(2))
    assert float(make("loss", "mse").build(TASK)(nothing, target)) == pytest.approx(0.1)
