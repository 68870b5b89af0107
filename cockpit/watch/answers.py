"""What a loop hands over, brought into one shape: rows of outputs, and the class of each row where there is one."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Answers:
    """Outputs and targets of some examples, detached, on their device."""

    rows: Tensor
    """(M, K) as the loss takes them; K = 1: one output for two classes, or a number."""
    truth: Tensor | None
    """int64 (M,), not checked against K; None where the targets are no classes."""
    targets: Tensor | None
    """float (M, K), where they are not whole numbers."""
    threshold: float
    """Of one output, above which it means the second class."""
    plain: bool
    """One row an example: not one a token or a pixel."""

    @property
    def classes(self) -> int:
        """How many classes the outputs can tell apart."""
        return max(2, self.rows.shape[1])

    @property
    def guess(self) -> Tensor:
        """The predicted classes, int64 (M,)."""
        return self.sided.argmax(1)

    @property
    def sided(self) -> Tensor:
        """(M, max(2, K)): an argmax over it is the guess."""
        if self.rows.shape[1] > 1:
            return self.rows
        above = self.rows - self.threshold
        return torch.cat([-above, above], dim=1)


def answers_of(outputs: Tensor, targets: Tensor | None, takes: str = "", *, classed: bool = False) -> Answers | None:
    """Rows and classes of a batch; None where the shapes say nothing. Nothing here waits for the device.

    `takes`: what the loss takes, as far as it is known. `classed`: numbers are classes even where the loss does not say so.
    """
    outputs = outputs.detach()
    if outputs.ndim == 0 or outputs.is_complex():
        return None
    rows = _rows(outputs, targets)
    if rows is None:
        return None
    threshold = 0.5 if takes in ("probabilities", "values") else 0.0
    truth, soft = _targets(rows, targets, classed or takes in ("logits", "probabilities", "log_probabilities"))
    return Answers(rows, truth, soft, threshold, outputs.ndim < 3)


def _rows(outputs: Tensor, targets: Tensor | None) -> Tensor | None:
    if outputs.ndim < 3:
        return outputs.reshape(len(outputs), -1) if outputs.ndim == 2 else outputs[:, None]
    if targets is not None and targets.shape == outputs.shape[:-1]:
        return outputs.reshape(-1, outputs.shape[-1])
    if targets is not None and targets.shape == outputs.shape[:1] + outputs.shape[2:]:
        return outputs.movedim(1, -1).reshape(-1, outputs.shape[1])
    return None


def _targets(rows: Tensor, targets: Tensor | None, classed: bool) -> tuple[Tensor | None, Tensor | None]:
    """(classes, targets that are not whole numbers), as far as the batch has them."""
    if targets is None:
        return None, None
    targets = targets.detach()
    whole = not targets.is_floating_point()
    if targets.numel() == len(rows):
        flat = targets.reshape(-1)
        if whole:
            return flat.long(), None
        if rows.shape[1] > 1:
            return None, None
        return (flat + 0.5).floor().long() if classed else None, flat[:, None]
    return None, targets.float() if targets.shape == rows.shape else None
