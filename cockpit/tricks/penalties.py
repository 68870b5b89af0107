"""Penalties on the size of the weights, added to the loss: L2, L1, and any power in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Outcome, Parts

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from cockpit.travel import Again, Criterion, Forward, Objective, Step

    Penalty = Callable[[Tensor], Tensor]
    """One weight of any shape -> a scalar."""

DIVIDED = ("adagrad", "rmsprop", "adadelta", "adam", "adamw", "nadam", "radam", "lamb", "lion", "prodigy")
"""Optimizers that scale the gradient of each weight by its history; they say so themselves of l2."""


class Penalised:
    """An objective with a sum over the weights added to its loss."""

    def __init__(self, model: nn.Module, strength: float, penalty: Penalty, *, biases: bool = False) -> None:
        self._model, self._strength, self._penalty, self._biases = model, strength, penalty, biases

    def _weights(self) -> list[Tensor]:
        """Those that are trained now: matrices and filters, and the rest if biases are meant too."""
        return [each for each in self._model.parameters() if each.requires_grad and (self._biases or each.ndim > 1)]

    def objective(self, inner: Objective, forward: Forward, criterion: Criterion) -> Objective:
        """The loss plus the penalty."""
        import torch

        def penalised(batch: Batch, at: Moment) -> Outcome:
            outcome = inner(batch, at)
            each = [self._penalty(weight) for weight in self._weights()]
            return outcome._replace(loss=outcome.loss + self._strength * torch.stack(each).sum()) if each else outcome

        return penalised


@card(
    "l2",
    family="regularisation",
    aliases=("ridge",),
    seams=("objective",),
    stage="penalty",
    live=True,
    when="To see the penalty in the loss; otherwise the optimizer's weight_decay does it at no cost.",
    beware="The training loss contains it. The optimizer's own weight_decay comes on top.",
    source="Krogh & Hertz 1992, NIPS",
    cautions={"decay_by_hand": "both shrink the same weights"},
    slide="The slide writes the norm where the squared norm is meant: half lambda times the sum of squares, whose gradient is "
    "lambda w.",
)
class L2(Toggle):
    """Add half the sum of the squared weights to the loss, times lambda."""

    lam: float = knob(1e-4, low=0, high=1, help="lambda, the strength: each weight gets a gradient of lambda times itself")
    biases: bool = knob(False, help="also biases and the scales of norm layers")

    def plug(self, parts: Parts) -> Penalised:
        """lambda / 2 times the sum of w squared."""
        return Penalised(parts.model, self.lam / 2, lambda weight: weight.square().sum(), biases=self.biases)


@card(
    "lp_norm",
    family="regularisation",
    seams=("objective",),
    stage="penalty",
    live=True,
    when="To compare powers: near 1 many weights become small, from 2 on the large ones are held back.",
    beware="Power 2 is twice the l2 of the same lambda, which has a half in it. No power here makes exact zeros.",
    source="Frank & Friedman 1993, Technometrics 35",
    cautions=dict.fromkeys(DIVIDED, "the optimizer divides the penalty's gradient by its history, so its size means little"),
)
class LpNorm(Toggle):
    """Add the sum of a power of the absolute weights to the loss, times lambda."""

    p: float = knob(2.0, low=1, high=4, help="the power: 1 is l1 in the loss, 2 is l2 without its half")
    lam: float = knob(1e-4, low=0, high=1, help="lambda, the strength")

    def plug(self, parts: Parts) -> Penalised:
        """lambda times the sum of |w| ** p, over matrices and filters."""
        return Penalised(parts.model, self.lam, lambda weight: weight.abs().pow(self.p).sum())


class Lasso(Penalised):
    """L1 in the loss, or as a step of its own after the optimizer's."""

    def __init__(self, settings: L1, model: nn.Module) -> None:
        super().__init__(model, settings.lam, lambda weight: weight.abs().sum())
        self._proximal = settings.proximal

    def objective(self, inner: Objective, forward: Forward, criterion: Criterion) -> Objective:
        """The loss plus the penalty; in the proximal form the loss as it is."""
        return inner if self._proximal else super().objective(inner, forward, criterion)

    def update(self, step: Step, optimizer: torch.optim.Optimizer) -> Step:
        """In the proximal form, move every weight lr * lambda towards 0 after the step, and leave it at 0 if it gets there."""
        import torch
        from torch.nn import functional

        if not self._proximal:
            return step

        def shrunk(again: Again) -> None:
            step(again)
            with torch.no_grad():
                for group in optimizer.param_groups:
                    for weight in (each for each in group["params"] if each.ndim > 1 and each.requires_grad):
                        weight.copy_(functional.softshrink(weight, group["lr"] * self._strength))

        return shrunk


@card(
    "l1",
    family="regularisation",
    aliases=("lasso",),
    seams=("objective", "update"),
    stage="penalty",
    live=True,
    when="A network with few weights that are not 0 is wanted.",
    beware="Only the proximal form makes exact zeros. In it the pull is lr * lambda a step, so a schedule weakens it.",
    source="Tibshirani 1996, JRSS B 58; Daubechies et al. 2004, arXiv math/0307152",
    cautions=dict.fromkeys(DIVIDED, "the optimizer divides the penalty's gradient by its history: proximal: on is spared that")
    | {
        "train_eval": "this optimizer keeps two copies of the weights, and the proximal form reaches one",
        "no_lr": "the proximal form pulls by lr * lambda, and this optimizer ignores lr",
    },
)
class L1(Toggle):
    """Add the sum of the absolute weights to the loss, times lambda, or pull the weights to 0 after each step."""

    lam: float = knob(1e-5, low=0, high=0.1, help="lambda, the strength")
    proximal: bool = knob(False, help="not in the loss, but soft-thresholding after the step, which gives exact zeros")

    def plug(self, parts: Parts) -> Any:
        """Matrices and filters only."""
        return Lasso(self, parts.model)
