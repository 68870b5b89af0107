"""Patch dropout: transformers that see a part of each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts
from cockpit.tricks.dropout import Dropping

if TYPE_CHECKING:
    from torch import Tensor, nn


@card(
    "patch_dropout",
    family="regularisation",
    seams=("model",),
    live=True,
    when="A vision transformer is slow or overfits: fewer tokens cost less and hide parts of each image.",
    beware="Only transformers have tokens to drop. Evaluation sees all of them, so training loss is no longer comparable.",
    source="Liu et al. 2022, arXiv 2208.07220",
    conflicts=dict.fromkeys(("dropout_2d", "drop_block"), "no network has both tokens and maps to drop"),
)
class PatchDropout(Toggle):
    """Leave out random tokens of each image in training; the class token always stays."""

    p: float = knob(0.25, low=0, high=0.9, help="share of the patches left out")

    def plug(self, parts: Parts) -> Dropping:
        """Hang it before the blocks, where the tokens know their positions. ValueError where there are no tokens."""
        from timm.layers import PatchDropout as Dropper

        place, prefix = _tokens(parts.model)
        dropper = Dropper(self.p, num_prefix_tokens=prefix)

        def drop(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
            tokens: Tensor = dropper(inputs[0]) if module.training else inputs[0]
            return tokens

        return Dropping([place.register_forward_pre_hook(drop)])


def _tokens(model: nn.Module) -> tuple[nn.Module, int]:
    """The part that takes the tokens, (B, N, dim) with positions added, and how many of them are of no patch."""
    from torch import nn

    from cockpit.nets.vit import VisionTransformer

    for module in model.modules():
        if isinstance(module, VisionTransformer):
            return module.blocks, 0 if module.token is None else module.token.shape[1]
        if isinstance(dropper := getattr(module, "patch_drop", None), nn.Module):  # the transformers of timm
            if getattr(dropper, "prob", 0):
                raise ValueError("patch_dropout: this network drops patches already; leave one of the two")
            return dropper, int(getattr(module, "num_prefix_tokens", 0))
    raise ValueError("patch_dropout needs a vision transformer, whose patches are tokens; take model: vit")
