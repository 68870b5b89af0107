"""Losses against plain sums of logarithms and squares, one number at a time, and against the libraries."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from choices import make
from kit import DIGITS, images, parts
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from cockpit.recipe import RecipeError, loads
from cockpit.travel import Task
from cockpit.tricks.label_smoothing import LabelSmoothing

TASK = Task(1, 8, 8, 3)
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]], dtype=torch.float64)
HARD = torch.tensor([0, 2])
SOFT = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.1, 0.8]], dtype=torch.float64)
ONE_HOT = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
TARGETS = [(HARD, ONE_HOT), (SOFT, SOFT.tolist())]

Formula = Callable[[list[float], list[float]], float]


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


def cross_entropy(row: list[float], wanted: list[float]) -> float:
    return -sum(share * math.log(p) for share, p in zip(wanted, softmax(row), strict=True))


def over_classes(each: Callable[[float, float], float]) -> Formula:
    return lambda row, wanted: sum(each(z, q) for z, q in zip(row, wanted, strict=True))


def bce(z: float, q: float) -> float:
    return -(q * log_sigmoid(z) + (1 - q) * log_sigmoid(-z))


def focal(gamma: float, alpha: float | None) -> Formula:
    def each(z: float, q: float) -> float:
        p = 1 / (1 + math.exp(-z))
        right = p * q + (1 - p) * (1 - q)
        weight = 1 if alpha is None else alpha * q + (1 - alpha) * (1 - q)
        return weight * (1 - right) ** gamma * bce(z, q)

    return over_classes(each)


def hinge(margin: float, power: int = 1) -> Formula:
    return over_classes(lambda z, q: max(0.0, margin - (2 * q - 1) * z) ** power / 3)


def huber(z: float, q: float) -> float:
    return (z - q) ** 2 / 2 if abs(z - q) < 0.6 else 0.6 * (abs(z - q) - 0.3)


CASES: list[tuple[str, dict[str, Any], Formula]] = [
    ("cross_entropy", {}, cross_entropy),
    ("cosine", {}, cross_entropy),
    ("triplet", {}, cross_entropy),
    ("cosine_pairs", {}, cross_entropy),
    ("bce", {}, over_classes(lambda z, q: bce(z, q) / 3)),
    ("bce", {"sum_classes": True}, over_classes(bce)),
    ("bce", {"target_threshold": 0.2}, over_classes(lambda z, q: bce(z, float(q > 0.2)) / 3)),
    ("focal", {}, focal(2, 0.25)),
    ("focal", {"gamma": 0.5, "alpha": -1.0}, focal(0.5, None)),
    ("focal", {"gamma": 0.0, "alpha": 0.0}, focal(0, 0.0)),
    ("hinge_ovr", {}, hinge(1)),
    ("hinge_ovr", {"margin": 2.5, "squared": True}, hinge(2.5, 2)),
    ("zero_one", {}, lambda row, wanted: 1 - wanted[row.index(max(row))]),
    ("mse", {}, over_classes(lambda z, q: (z - q) ** 2 / 3)),
    ("mse", {"scale": 5.0}, over_classes(lambda z, q: (z - 5 * q) ** 2 / 3)),
    ("mse", {"on": "softmax"}, lambda row, q: over_classes(lambda p, q: (p - q) ** 2 / 3)(softmax(row), q)),
    ("mae", {}, lambda row, q: over_classes(lambda p, q: abs(p - q) / 3)(softmax(row), q)),
    ("mae", {"on": "logits"}, over_classes(lambda z, q: abs(z - q) / 3)),
    ("huber", {"delta": 0.6}, over_classes(lambda z, q: huber(z, q) / 3)),
]
NAMES = [(name, knobs) for name, knobs, _ in CASES] + [("hinge_multi", {}), ("hinge_multi", {"p": 2})]


@pytest.mark.parametrize(("target", "rows"), TARGETS, ids=["indices", "soft"])
@pytest.mark.parametrize(("name", "knobs", "plain"), CASES)
def test_loss_is_the_mean_of_its_formula(
    name: str, knobs: dict[str, Any], plain: Formula, target: Tensor, rows: list[list[float]]
) -> None:
    loss = make("loss", name, **knobs).build(TASK)(LOGITS, target)
    expected = sum(plain(row, wanted) for row, wanted in zip(LOGITS.tolist(), rows, strict=True)) / len(rows)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [name for name, knobs, _ in CASES if not knobs])
def test_one_hot_rows_and_indices_are_the_same_target(name: str) -> None:
    criterion = make("loss", name).build(TASK)
    torch.testing.assert_close(criterion(LOGITS, HARD), criterion(LOGITS, torch.tensor(ONE_HOT, dtype=torch.float64)))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("margin", [0.1, 1.0, 3.0])
def test_the_hinge_between_classes_is_that_of_torch_and_of_its_definition(p: int, margin: float) -> None:
    logits = torch.randn(20, 5, dtype=torch.float64).round(decimals=1)  # some differences are exactly the margin
    target = torch.randint(5, (20,))
    ours = make("loss", "hinge_multi", p=p, margin=margin).build(TASK)(logits, target)
    torch.testing.assert_close(ours, functional.multi_margin_loss(logits, target, p=p, margin=margin))
    rows = zip(logits.tolist(), target.tolist(), strict=True)
    slow = [max(0.0, margin - row[true] + z) ** p for row, true in rows for j, z in enumerate(row) if j != true]
    assert float(ours) == pytest.approx(sum(slow) / 100)


@pytest.mark.parametrize("gamma", [0.0, 0.7, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.25, 1.0])
def test_focal_is_that_of_torchvision(gamma: float, alpha: float) -> None:
    logits = 3 * torch.randn(50, 10, dtype=torch.float64)
    criterion = make("loss", "focal", gamma=gamma, alpha=alpha).build(TASK)
    for target in (torch.randint(10, (50,)), torch.randn(50, 10, dtype=torch.float64).softmax(1)):
        rows = target if target.is_floating_point() else functional.one_hot(target, 10).double()
        theirs = sigmoid_focal_loss(logits, rows, alpha=alpha, gamma=gamma, reduction="sum") / 50
        torch.testing.assert_close(criterion(logits, target), theirs)
    with pytest.raises(ValueError, match="take -1"):
        make("loss", "focal", alpha=-0.5)


@pytest.mark.parametrize(("name", "knobs"), [*NAMES, ("focal", {"gamma": 0.5})])
def test_gradients_are_finite_wherever_the_logits_are(name: str, knobs: dict[str, Any]) -> None:
    criterion = make("loss", name, **knobs).build(TASK)
    far = torch.tensor([[1e4, 0.0, -1e4], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0], [-200.0, 200.0, 90.0]])
    targets = [torch.tensor([which] * 4) for which in range(3)]
    if name != "hinge_multi":
        targets += [functional.one_hot(targets[1], 3).float(), torch.tensor([[0.6, 0.4, 0.0]] * 4)]
    for target in targets:
        logits = far.clone().requires_grad_()
        loss = criterion(logits, target)
        (slope,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite() and slope.isfinite().all(), target


@pytest.mark.parametrize(("name", "knobs"), NAMES)
def test_a_loss_can_be_differentiated_twice(name: str, knobs: dict[str, Any]) -> None:
    logits = LOGITS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(make("loss", name, **knobs).build(TASK)(logits, HARD), logits, create_graph=True)
    (slope.square().sum() + 0 * logits.sum()).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_mistakes_have_a_gradient_of_zero() -> None:
    logits = torch.randn(30, 10, requires_grad=True)
    loss = make("loss", "zero_one").build(TASK)(logits, torch.randint(10, (30,)))
    loss.backward()
    assert 0 < loss.item() <= 1 and logits.grad is not None and not logits.grad.any()


def test_the_hinge_lies_above_the_mistakes() -> None:
    z = torch.randn(1000, 2)
    logits, target = torch.stack([-z[:, 0], z[:, 0]], dim=1), (z[:, 1] > 0).long()
    upper, lower = (make("loss", name).build(TASK)(logits, target) for name in ("hinge_ovr", "zero_one"))
    assert float(upper) >= float(lower) > 0.4


def test_the_loss_of_a_network_that_knows_nothing() -> None:
    nothing = torch.zeros(4, 10)
    target = torch.tensor([0, 3, 5, 9])
    expected = {"cross_entropy": math.log(10), "bce": math.log(2), "mse": 0.1, "mae": 0.18, "huber": 0.05, "hinge_ovr": 1.0}
    for name, loss in expected.items():
        assert float(make("loss", name).build(TASK)(nothing, target)) == pytest.approx(loss), name


@pytest.mark.parametrize("name", ["bce", "focal"])
def test_probabilities_of_yes_or_no_losses_are_scaled_sigmoids(name: str) -> None:
    shares = LOGITS.sigmoid() / LOGITS.sigmoid().sum(1, keepdim=True)
    torch.testing.assert_close(make("loss", name).probabilities(LOGITS), shares)
    low = make("loss", name).probabilities(torch.tensor([[-1000.0, -1001.0]]))  # both sigmoids are 0 in fp32
    torch.testing.assert_close(low, torch.tensor([[math.e, 1.0]]) / (math.e + 1))


def unbalanced(classes: int = 10) -> Tensor:
    """Labels in which class 3 is absent and the others have from 2 to 18 images."""
    return torch.cat([torch.full((2 * which,), which) for which in range(1, classes) if which != 3])


def weighting(choice: str) -> Any:
    labels = unbalanced()
    train = images(DIGITS, len(labels))
    train = type(train)(train.pixels, labels, train.scale, train.mean, train.std)
    return make("loss", "cross_entropy", class_weight=choice).plug(parts(nn.Identity(), train=train))


def test_balanced_class_weights_are_those_of_the_libraries() -> None:
    labels = unbalanced()
    weights = torch.ones(10, dtype=torch.float64)
    present = labels.unique().numpy()
    weights[present] = torch.from_numpy(compute_class_weight("balanced", classes=present, y=labels.numpy()))
    logits, hard = torch.randn(40, 10, dtype=torch.float64), labels[torch.randperm(len(labels))[:40]]
    ours = weighting("balanced").loss(functional.cross_entropy, DIGITS)
    torch.testing.assert_close(ours(logits, hard), functional.cross_entropy(logits, hard, weight=weights))
    soft = torch.randn(40, 10, dtype=torch.float64).softmax(1)
    total = functional.cross_entropy(logits, soft, weight=weights, reduction="sum")  # torch divides this by the batch
    torch.testing.assert_close(ours(logits, soft), total / (soft * weights).sum())
    assert float(ours(logits[:1], torch.tensor([3]))) > 0  # a class that has no images is asked for all the same


def test_balanced_classes_pull_alike() -> None:
    labels, logits = unbalanced(), torch.zeros(len(unbalanced()), 10, requires_grad=True)
    weighting("balanced").loss(functional.cross_entropy, DIGITS)(logits, labels).backward()
    assert logits.grad is not None
    pull = torch.zeros(10).index_add_(0, labels, logits.grad.gather(1, labels[:, None])[:, 0])
    torch.testing.assert_close(pull[labels.unique()], torch.full((8,), float(pull[1])))


def test_without_class_weights_the_loss_stands_at_no_seam() -> None:
    assert make("loss", "cross_entropy").stands == ()
    assert make("loss", "cross_entropy", class_weight="balanced").stands == ("loss",)


def test_class_weights_leave_the_share_that_smoothing_spreads_unweighted() -> None:
    smoothed = LabelSmoothing(epsilon=0.2).loss(functional.cross_entropy, DIGITS)
    logits, hard = torch.randn(16, 10), torch.randint(4, 10, (16,))
    both = weighting("balanced").loss(smoothed, DIGITS)(logits, hard)
    weighted = weighting("balanced").loss(functional.cross_entropy, DIGITS)(logits, hard)
    torch.testing.assert_close(both, 0.8 * weighted - 0.2 * logits.log_softmax(1).mean())


@pytest.mark.parametrize("name", ["hinge_multi", "triplet", "cosine_pairs"])
def test_losses_of_indices_refuse_soft_targets(name: str) -> None:
    with pytest.raises(RecipeError, match="one needs class indices, the other makes soft targets; cross_entropy, bce"):
        loads(f"loss: {name}\ntricks: {{label_smoothing: on}}")
