"""Which loss a loop uses, what it says of answers that know nothing, and the same loss on examples of the watcher's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cockpit.watch.answers import Answers

IGNORED = -100
"""The target that torch's losses leave out."""
CLOSE = 1e-3
"""Two losses that differ by less than this share are one."""

Criterion = Callable[[Tensor, Tensor], Tensor]
KNOWN: dict[Any, str] = {
    nn.CrossEntropyLoss: "cross_entropy",
    nn.NLLLoss: "nll",
    nn.BCEWithLogitsLoss: "bce_with_logits",
    nn.BCELoss: "bce",
    nn.MSELoss: "mse",
    nn.L1Loss: "l1",
    nn.SmoothL1Loss: "l1",
    nn.HuberLoss: "mse",
    F.cross_entropy: "cross_entropy",
    F.nll_loss: "nll",
    F.binary_cross_entropy_with_logits: "bce_with_logits",
    F.binary_cross_entropy: "bce",
    F.mse_loss: "mse",
    F.l1_loss: "l1",
}
TAKES = {
    "cross_entropy": "logits",
    "bce_with_logits": "logits",
    "nll": "log_probabilities",
    "bce": "probabilities",
    "mse": "values",
    "l1": "values",
    "": "",
}


def valid(answers: Answers) -> bool:
    """Whether every class can be the target of such outputs: on a GPU, another one would end the program."""
    truth = answers.truth
    return truth is None or bool((((truth >= 0) & (truth < answers.classes)) | (truth == IGNORED)).all())


def _dense(answers: Answers) -> Tensor | None:
    """Targets as numbers for each output: (M, 1), or one-hot (M, K)."""
    if answers.targets is not None:
        return answers.targets.to(answers.rows.dtype)
    if answers.truth is None:
        return None
    if answers.rows.shape[1] == 1:
        return answers.truth[:, None].to(answers.rows.dtype)
    if not valid(answers) or bool((answers.truth == IGNORED).any()):
        return None
    return F.one_hot(answers.truth, answers.rows.shape[1]).to(answers.rows.dtype)


def _cross_entropy(answers: Answers) -> Tensor | None:
    targets = answers.truth if answers.truth is not None else answers.targets
    return (
        None if targets is None or answers.rows.shape[1] < 2 or not valid(answers) else F.cross_entropy(answers.rows, targets)
    )


def _nll(answers: Answers) -> Tensor | None:
    unfit = answers.truth is None or answers.rows.shape[1] < 2 or not valid(answers)
    return None if unfit or answers.truth is None else F.nll_loss(answers.rows, answers.truth)


def _on_dense(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Answers], Tensor | None]:
    def value(answers: Answers) -> Tensor | None:
        dense = _dense(answers)
        return None if dense is None else loss(answers.rows, dense)

    return value


def _bce(rows: Tensor, dense: Tensor) -> Tensor:
    return F.binary_cross_entropy(rows, dense) if bool(((rows >= 0) & (rows <= 1)).all()) else torch.full((), math.nan)


MEANS: dict[str, Callable[[Answers], Tensor | None]] = {
    "nll": _nll,
    "cross_entropy": _cross_entropy,
    "bce_with_logits": _on_dense(F.binary_cross_entropy_with_logits),
    "bce": _on_dense(_bce),
    "mse": _on_dense(F.mse_loss),
    "l1": _on_dense(F.l1_loss),
}
"""The mean of each loss over some answers; None where it does not apply to them."""


@dataclass(frozen=True)
class Loss:
    """The loss of a loop."""

    name: str = ""
    """A key of MEANS; empty where it is not known."""
    call: Criterion | None = None
    """The user's own."""
    summed: bool = False
    """It is the sum over the batch, not the mean."""

    @property
    def takes(self) -> str:
        """In the words of `Started.criterion`."""
        return TAKES[self.name]

    @property
    def smoothing(self) -> float:
        """Label smoothing of the user's own criterion."""
        return float(getattr(self.call, "label_smoothing", 0.0) or 0.0)

    @torch.no_grad()
    def mean(self, outputs: Tensor, targets: Tensor | None, answers: Answers | None) -> float:
        """The mean loss of some examples; NaN where it cannot be told. `answers` are of the same outputs and targets."""
        if targets is None:
            return math.nan
        risky = self.name in ("cross_entropy", "nll") and answers is not None and not valid(answers)
        said = _called(self.call, outputs, targets, answers) if self.call and not risky else None
        if said is not None:
            return said / (len(answers.rows) if answers and self.summed else 1)
        if answers is None or not self.name:
            return math.nan
        found = MEANS[self.name](answers)
        return math.nan if found is None else float(found)


def _called(call: Criterion, outputs: Tensor, targets: Tensor, answers: Answers | None) -> float | None:
    """The user's criterion, None where it takes no such batch.

    A loop may bring its batch into the criterion's shape on the way: one output an example is also tried flat, and classes
    as numbers.
    """
    tries = [(outputs, targets)]
    if answers is not None:
        known, dense = _known(call), _dense(answers)
        if answers.rows.shape[1] == 1 and targets.numel() == len(answers.rows):
            flat = (answers.rows[:, 0], targets.reshape(-1).to(answers.rows.dtype))
            tries = [flat, *tries] if known else [*tries, flat]
        elif known in ("mse", "l1", "bce", "bce_with_logits") and dense is not None:
            tries = [(answers.rows, dense)]
    for each in tries:
        try:
            return float(call(*each).float().mean())
        except Exception:
            continue
    return None


def _known(criterion: Any) -> str:
    try:
        return KNOWN.get(type(criterion)) or KNOWN.get(criterion, "")
    except TypeError:  # what cannot be hashed is no function of torch
        return ""


@torch.no_grad()
def loss_of(criterion: Any, reported: float, outputs: Tensor | None, targets: Tensor | None, answers: Answers | None) -> Loss:
    """What the loop's loss is, by the class of its criterion or else by what it makes of one batch."""
    name = _known(criterion)
    if outputs is None or targets is None or answers is None:
        return Loss(name, criterion, getattr(criterion, "reduction", "") == "sum")
    if criterion is None:
        name, summed = _like(reported, answers)
        return Loss(name, None, summed)
    own = _called(criterion, outputs, targets, answers)
    like, summed = _like(reported if own is None else own, answers)
    return Loss(name or like, criterion, _doubles(criterion, outputs, targets, answers) or (summed and not name))


def _like(value: float, answers: Answers) -> tuple[str, bool]:
    """The known loss with this value, and whether it is its sum."""
    for name, mean in MEANS.items() if math.isfinite(value) else ():
        found = mean(answers)
        for scale in (1, len(answers.rows)) if found is not None else ():
            if abs(float(found) * scale - value) <= CLOSE * abs(value) + 1e-9:  # type: ignore[arg-type]
                return name, scale > 1
    return "", False


def _doubles(criterion: Criterion, outputs: Tensor, targets: Tensor, answers: Answers) -> bool:
    """Whether the same examples twice cost twice: then the loss is a sum."""
    once = _called(criterion, outputs, targets, answers)
    again = [None if one is None else torch.cat([one, one]) for one in (answers.truth, answers.targets)]
    twice = Answers(torch.cat([answers.rows] * 2), again[0], again[1], answers.threshold, answers.plain)
    both = _called(criterion, torch.cat([outputs] * 2), torch.cat([targets] * 2), twice)
    return once is not None and both is not None and once != 0 and abs(both - 2 * once) <= 0.01 * abs(once)
