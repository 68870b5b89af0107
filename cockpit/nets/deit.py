"""Vision transformer with a second token and head that learn from a teacher.

Touvron et al. 2021, arXiv 2012.12877.
"""

from typing import Any

from torch import Tensor, nn

from cockpit.nets.layers import MakeActivation, MakeNorm
from cockpit.nets.vit import Shape, VisionTransformer
from cockpit.travel import Task


class DistilledTransformer(VisionTransformer):
    """Answers with the mean of two heads, one on each of its two tokens.

    While `taught`, a training pass answers with the class head alone and leaves the other head's logits in `distilled`, for a
    loss against the teacher. Without a teacher both heads train on the labels, as the mean.
    """

    def __init__(self, task: Task, shape: Shape, activation: MakeActivation, norm: MakeNorm) -> None:
        super().__init__(task, shape, activation, norm, extra=2)
        head = self.head
        del self.head  # and put back, so that it stays the last of the linear layers
        self.distilled_head = nn.Linear(shape.dim, task.classes)
        self.head = head
        self.taught = False
        self.distilled: Tensor | None = None
        """float (B, classes) of the last training pass while taught."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        encoded = self.encode(x)
        own: Tensor = self.head(encoded[:, 0])
        learned: Tensor = self.distilled_head(encoded[:, 1])
        if self.training and self.taught:
            self.distilled = learned
            return own
        return (own + learned) / 2

    def __getstate__(self) -> dict[str, Any]:
        """Without the logits, so that a copy may be taken between two steps: they hold the graph of the last one."""
        return {**self.__dict__, "distilled": None}
