"""Activations that torch.nn does not have."""

import torch
from torch import Tensor, nn


class Arctan(nn.Module):
    """The inverse tangent, element by element."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, to the same shape within -pi/2 and pi/2."""
        return torch.atan(x)


class BinaryStep(nn.Module):
    """1 where the input is not negative, else 0.

    The true derivative is 0, so nothing before the last step learns. Straight through, the backward pass takes that of
    clamp(x, -1, 1) instead: Bengio et al. 2013, arXiv 1308.3432.
    """

    def __init__(self, straight_through: bool = False) -> None:
        super().__init__()
        self.straight_through = straight_through

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, to the same shape."""
        step = (x >= 0).to(x.dtype)
        if not self.straight_through:
            return step
        passed = x.clamp(-1, 1)
        return step + (passed - passed.detach())

    def extra_repr(self) -> str:
        """What distinguishes one from another."""
        return f"straight_through={self.straight_through}"
