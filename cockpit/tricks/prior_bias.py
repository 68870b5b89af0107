"""A network that starts by answering with the class frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts

if TYPE_CHECKING:
    from torch import Tensor, nn


class Prior:
    """The bias that a head starts from."""

    def __init__(self, bias: Tensor) -> None:
        self._bias = bias

    def model(self, model: nn.Module, _: Any) -> nn.Module:
        """Set the bias of the head in place. ValueError where it has none for each class."""
        import torch

        from cockpit.nets.places import head_of

        head = head_of(model)
        bias = head.layer.bias
        if not isinstance(bias, torch.Tensor) or bias.shape != self._bias.shape:
            raise ValueError(f"prior_bias: the layer {head.name} has no bias for each class")
        with torch.no_grad():
            bias.copy_(self._bias)
        return model


@card(
    "prior_bias",
    family="init",
    seams=("model",),
    when="Uneven classes, or bce: the first steps need not learn what the class frequencies say.",
    beware="Say form sigmoid for bce. The loss then starts below that of equal logits, and rightly so.",
    source="Lin et al. 2017, arXiv 1708.02002, section 4.1",
    cautions={"bce": "bce asks a yes-or-no question for each class, which wants form sigmoid"},
)
class PriorBias(Toggle):
    """Start the bias of the head at the log of each class's share of the training images.

    With form sigmoid it is the log of the odds, which for K classes of one size is -ln(K - 1). A class without training
    images counts as if it had one.
    """

    form: Literal["softmax", "sigmoid"] = knob(
        "softmax", help="how the loss reads the logits: softmax for cross_entropy, sigmoid for bce"
    )

    def plug(self, parts: Parts) -> Prior:
        """Count the training images of each class."""
        counts = parts.train.labels.cpu().bincount(minlength=parts.task.classes).clamp(min=1).double()
        share = counts / counts.sum()
        return Prior((share.log() if self.form == "softmax" else share.logit()).float())
