"""Batch norm that shifts and does not scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cockpit.cards import card
from cockpit.families import Toggle

if TYPE_CHECKING:
    from torch import nn


@card(
    "freeze_bn_scale",
    family="norm",
    seams=("model",),
    when="Short trainings: the layer after the norm can scale as well, and the biases may then learn faster.",
    beware="Goes with a larger rate for the biases: bias_lr_scale.",
    source="Page 2019, How to train your ResNet",
)
class FreezeBnScale(Toggle):
    """Fix the scale of every batch norm at 1; its shift still learns."""

    def model(self, model: nn.Module, _: Any) -> nn.Module:
        """Set and freeze the scales in place. ValueError where there is no batch norm."""
        from torch import nn

        norms = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            raise ValueError("freeze_bn_scale: this network has no batch norm; choose norm batch or ghost_batch")
        for norm in norms:
            if norm.affine:
                nn.init.ones_(norm.weight)
                norm.weight.requires_grad_(False)
        return model
