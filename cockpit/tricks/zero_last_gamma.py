"""Residual blocks that start as nothing but their shortcut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cockpit.cards import card
from cockpit.families import Toggle

if TYPE_CHECKING:
    from torch import nn

REFUSED = "zero_last_gamma: this network has no residual branch that ends in a norm layer with a scale; model resnet has"


def last_scales(model: nn.Module) -> Iterator[nn.Parameter]:
    """The scale of the norm that each residual branch ends in; nothing of a branch that ends otherwise: behind a ReLU, a
    scale of 0 would never get a gradient.
    """
    from torch import nn

    for block in model.modules():
        layers = _branch(block)
        scale = getattr(layers[-1], "weight", None) if layers else None
        if isinstance(scale, nn.Parameter) and scale.ndim == 1:
            yield scale


def _branch(block: nn.Module) -> list[nn.Module]:
    """The layers of a block's branch in their order, but for a learned activation; none where it is no residual block."""
    from torch import nn

    if hasattr(block, "downsample"):  # a block of torchvision's and timm's residual networks
        return [norm for name in ("bn1", "bn2", "bn3") if isinstance(norm := getattr(block, name, None), nn.Module)]
    branch = getattr(block, "branch", None)
    leaves = [layer for layer in branch.modules() if not any(layer.children())] if branch is not None else []
    return [layer for layer in leaves if not isinstance(layer, nn.PReLU)]


@card(
    "zero_last_gamma",
    family="init",
    seams=("model",),
    when="Residual networks: at the start each block hands its input on, which makes a deep network easy to start.",
    beware="Weight decay keeps pulling the scales back to 0: switch no_decay_1d on.",
    source="Goyal et al. 2017, arXiv 1706.02677, section 5.1",
    conflicts={"freeze_bn_scale": "scales that start at 0 must be free to grow"},
)
class ZeroLastGamma(Toggle):
    """Start the scale of the last norm of each residual block at 0."""

    def model(self, model: nn.Module, _: Any) -> nn.Module:
        """Zero the scales in place. ValueError where there are none."""
        from torch import nn

        scales = list(last_scales(model))
        if not scales:
            raise ValueError(REFUSED)
        for scale in scales:
            nn.init.zeros_(scale)
        return model
