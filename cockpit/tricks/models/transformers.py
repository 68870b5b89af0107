"""Transformers on patches of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Activation, Init, Model, Norm
from cockpit.travel import Task
from cockpit.tricks.models.start import started

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class OnPatches(Model):
    """What vit and deit share."""

    activation: Activation = knob("gelu", help="the non-linearity inside each block")
    init: Init = knob("trunc_normal_002", help="how the weights start")
    norm: Norm = knob("layer", help="the normalisation of each token")
    patch: int = knob(4, low=1, high=64, help="side of a patch in pixels; must divide the image")
    dim: int = knob(96, low=8, high=2048, help="numbers in a token")
    depth: int = knob(4, low=1, high=24, help="encoder blocks")
    heads: int = knob(3, low=1, high=32, help="attention heads; must divide dim")
    mlp_ratio: float = knob(4.0, low=0.5, high=8, help="hidden units of a block, as a multiple of dim")


@card(
    "vit",
    when="Much data or strong augmentation; with adamw, warm-up and label smoothing.",
    beware="Knows nothing of pictures at the start: on small data it stays behind a convolutional network.",
    source="Dosovitskiy et al. 2021, arXiv 2010.11929",
)
class Vit(OnPatches):
    """Vision transformer: patches as tokens, self-attention between them."""

    pool: Literal["token", "avg"] = knob("token", help="read the class from a token of its own, or from the mean of all")

    def build(self, task: Task) -> nn.Module:
        """ValueError where patch does not divide the image or heads does not divide dim."""
        from cockpit.nets.vit import Shape, VisionTransformer

        shape = Shape(self.patch, self.dim, self.depth, self.heads, self.mlp_ratio, self.pool)
        return started(VisionTransformer(task, shape, self.activation.build, self.norm.build), self)


@card(
    "deit",
    when="A vision transformer on little data, beside a finished run that is better: switch distillation on.",
    beware="Without the distillation toggle both heads learn from the labels, and it is a vit with one more token.",
    source="Touvron et al. 2021, arXiv 2012.12877",
)
class Deit(OnPatches):
    """Vision transformer with a second token and head that learn from a teacher."""

    def build(self, task: Task) -> nn.Module:
        """ValueError where patch does not divide the image or heads does not divide dim."""
        from cockpit.nets.deit import DistilledTransformer
        from cockpit.nets.vit import Shape

        shape = Shape(self.patch, self.dim, self.depth, self.heads, self.mlp_ratio, "token")
        return started(DistilledTransformer(task, shape, self.activation.build, self.norm.build), self)


@card(
    "attention_block",
    when="To read how attention works, and to find the mistakes in form lecture before the curves do.",
    beware="Written to be read: vit does the same faster. Form lecture takes mlp_ratio and does not use it.",
    source="Vaswani et al. 2017, arXiv 1706.03762",
    slide="The slide merges the heads without swapping heads and tokens back (permute 0, 2, 1, 3 first), masks with -1e14, "
    "which half precision cannot hold (take the type's minimum), and its block drops mask and dim_feedforward, shares one "
    "LayerNorm and has no dropout in attention (pass them on, and take two norms).",
)
class AttentionBlock(Model):
    """A small vision transformer whose attention and encoder block are written out, right or as the lecture prints them."""

    activation: Activation = knob("relu", help="the non-linearity inside each block")
    init: Init = knob("trunc_normal_002", help="how the weights start")
    norm: Norm = knob("layer", help="the normalisation of each token")
    form: Literal["fixed", "lecture"] = knob("fixed", help="equal to torch's own; or as printed, mistakes and all")
    norm_first: bool = knob(False, help="norm before each branch, in place of after the sum")
    patch: int = knob(4, low=1, high=64, help="side of a patch in pixels; must divide the image")
    dim: int = knob(64, low=8, high=1024, help="numbers in a token")
    depth: int = knob(2, low=1, high=24, help="encoder blocks")
    heads: int = knob(4, low=1, high=32, help="attention heads; must divide dim")
    mlp_ratio: float = knob(2.0, low=0.5, high=8, help="hidden units of a block, as a multiple of dim")
    dropout: float = knob(0.0, low=0, high=0.9, help="dropout in both branches and, in form fixed, on the attention weights")

    def build(self, task: Task) -> nn.Module:
        """ValueError where patch does not divide the image or heads does not divide dim."""
        from cockpit.nets.encoder_block import EncoderBlock, LectureBlock
        from cockpit.nets.vit import Shape, VisionTransformer

        shape = Shape(self.patch, self.dim, self.depth, self.heads, self.mlp_ratio, "token")
        kind = EncoderBlock if self.form == "fixed" else LectureBlock
        act, norm = self.activation.build, self.norm.build

        def block() -> nn.Module:
            return kind(shape, self.dropout, act, norm, norm_first=self.norm_first)

        return started(VisionTransformer(task, shape, act, norm, block=block), self)
