"""A fixed first convolution that whitens patches."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Moment, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cockpit.nets.places import Place

IMAGES, AT_ONCE = 5000, 500
"""Training images that the filters are made from, and how many of them are taken together."""


class Whitening:
    """What comes to stand where the first convolution stood, and the bias of the filters in it."""

    def __init__(self, stem: Place, instead: nn.Module, bias: Tensor, bias_epochs: int) -> None:
        self._stem, self._instead = stem, instead
        self._bias = bias.requires_grad_(bias_epochs > 0)
        self._bias_epochs = bias_epochs

    def model(self, model: nn.Module, _: Any) -> nn.Module:
        """Put it into the network."""
        self._stem.put(model, self._instead)
        return model

    def weights(self, model: nn.Module, at: Moment) -> nn.Module:
        """Freeze the bias once its epochs are over; without a gradient, no optimizer moves it."""
        if at.clock.step + 1 >= self._bias_epochs * at.clock.steps_per_epoch:
            self._bias.requires_grad_(False)
        return model

    def state_dict(self) -> dict[str, Any]:
        """Whether the bias still learns; the filters are among the weights of the network."""
        return {"learns": self._bias.requires_grad}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Freeze the bias again."""
        self._bias.requires_grad_(state["learns"])


@card(
    "whitening_conv",
    family="init",
    seams=("model", "weights"),
    stage="decay",
    when="Short trainings of convolutional networks on natural images.",
    beware="The layer behind it starts as he_normal, whatever the init. Images with flat borders want eps 0.01.",
    source="Page 2019, How to train your ResNet; Jordan 2024, arXiv 2404.00498",
    conflicts={
        "multi_input": "both rebuild the first layer",
        "masked_autoencoder": "it hides patches, and needs the first layer as it is",
        "masked_token": "it hides patches, and needs the first layer as it is",
    },
)
class WhiteningConv(Toggle):
    """Begin the network with a fixed convolution whose outputs are uncorrelated and of one size.

    Its filters are the principal directions of small patches of 5000 training images, each divided by the root of its
    variance, and their negatives. The network's own activation follows, and then the network's first convolution for so
    many channels; a network whose first convolution is made for such filters, as airbench's is, takes them there. The filters
    never learn; their bias does for some epochs.
    """

    k: Literal[2, 3] = knob(2, help="side of a patch in pixels")
    eps: float = knob(5e-4, low=1e-5, high=0.1, help="added to the variances; more keeps flat patches from becoming noise")
    bias_epochs: int = knob(3, low=0, help="epochs over which the bias learns")

    def plug(self, parts: Parts) -> Whitening:
        """Make the filters from clean, standardised training images. ValueError where the network does not begin with a
        convolution of the image, or the images are smaller than a patch."""
        import torch
        from torch import nn

        from cockpit.nets.places import stem_of
        from cockpit.nets.whitening import behind_whitening, first_activation, fixed, is_place_for, whitening_filters

        stem = stem_of(parts.model)
        conv = stem.layer
        if not isinstance(conv, nn.Conv2d) or conv.groups != 1 or conv.in_channels != parts.task.channels:
            raise ValueError(
                f"whitening_conv: the first layer, {stem.name}, is no plain convolution of the image; small_cnn begins with one"
            )
        if min(parts.task.height, parts.task.width) < self.k:
            raise ValueError(
                f"whitening_conv: images of {parts.task.height}x{parts.task.width} have no patches of {self.k}x{self.k}"
            )
        order = torch.randperm(len(parts.train), generator=parts.stream("whitening_conv"))[:IMAGES]
        places = order.to(parts.train.labels.device).split(AT_ONCE)
        images = (parts.train.standardise(parts.train.take(ids)).x for ids in places)
        filters = whitening_filters(images, self.k, self.eps)
        if is_place_for(conv, filters):
            whiten = fixed(copy.deepcopy(conv), filters)
            assert whiten.bias is not None
            return Whitening(stem, whiten, whiten.bias, self.bias_epochs)
        behind = behind_whitening(conv, filters, first_activation(parts.model), parts.stream("whitening_conv.stem"))
        return Whitening(stem, behind, behind.get_parameter("whiten.bias"), self.bias_epochs)
