"""A network written as a line of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Model
from cockpit.travel import Task
from cockpit.tricks.models.start import started

if TYPE_CHECKING:
    from torch import nn


@card(
    "layers",
    when="To try a plain network layer by layer: other depths, other places for pooling, norm and dropout.",
    beware="Batch norm and dropout stand exactly where they are written; the norm knob says what bn is. A map that is not "
    "averaged by gap makes the first fc large.",
    source="LeCun et al. 1998, Proc. IEEE 86, for the order; residual blocks: He et al. 2016, arXiv 1512.03385",
)
class Layers(Model):
    """A sequence of layers from a line such as `c32k5same mp c64k3same bn mp do0.3 fc512`, and a linear head.

    c32k5: convolution of 32 maps, 5x5, with the activation; same: its padding keeps the size. r64s2: residual block of two 3x3
    convolutions, stride 2. mp: 2x2 max pooling. bn: the norm. do0.3: dropout. gap: mean over the map. fc84x9: nine linear
    layers of 84 units with the activation. An empty line is a linear classifier.
    """

    layers: str = knob("c32k3same mp c64k3same mp fc128", help="the layers in their order, one word each")

    def build(self, task: Task) -> nn.Module:
        """ValueError where a word is not known, or its layer does not fit the map that reaches it."""
        from cockpit.nets.written import written

        return started(written(task, self.layers, self.activation.build, self.norm.build), self)
