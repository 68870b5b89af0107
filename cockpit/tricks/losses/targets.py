"""What the losses share: two ways to write a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NEEDS_INDICES = "one needs class indices, the other makes soft targets; cross_entropy, bce and hinge_ovr take both"
"""Why a loss that is tagged `index_only` conflicts with `soft_targets`."""

ONE_HEAD = "the network of several images has a head for each of them, and this loss works at the one head"
"""Why a loss that reaches into the network conflicts with `multi_input`."""


def one_hot(target: Tensor, logits: Tensor) -> Tensor:
    """Targets as (B, K) in the type of the logits: indices become one-hot rows, soft targets stay."""
    from torch.nn import functional

    rows = target if target.is_floating_point() else functional.one_hot(target, logits.shape[1])
    return rows.to(logits.dtype)
