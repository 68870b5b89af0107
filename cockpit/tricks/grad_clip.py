"""Gradient clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Gradients, Moment, Parts

if TYPE_CHECKING:
    from torch import nn


class Adaptive:
    """Clipping by the norm of the weights, in each unit by itself; the head is left alone."""

    def __init__(self, share: float, model: nn.Module) -> None:
        from cockpit.nets.places import head_of

        head = {id(weight) for weight in head_of(model).layer.parameters()}
        self._share = share
        self._weights = [weight for weight in model.parameters() if id(weight) not in head]

    def grads(self, grads: Gradients, at: Moment) -> Gradients:
        """Scale down in place, without waiting for the device."""
        from timm.utils.agc import adaptive_clip_grad

        adaptive_clip_grad(self._weights, clip_factor=self._share)
        return grads


@card(
    "grad_clip",
    family="regularisation",
    aliases=("gradient_clipping",),
    seams=("grads",),
    stage="clip",
    live=True,
    cautions={"clips": "lamb clips the norm of all gradients by itself too; set optimizer.max_grad_norm to null to clip once"},
    when="The gradient norm spikes, or training diverges after a good start.",
    beware="A limit far below the usual norm is only a smaller learning rate. The norm shown is the one before clipping.",
    source="Pascanu et al. 2013, arXiv 1211.5063; agc: Brock et al. 2021, arXiv 2102.06171",
)
class GradClip(Toggle):
    """Limit the gradient before the optimizer sees it.

    agc compares the gradient of each unit with the weights of that unit: max_norm is then the largest ratio, and 0.01 is usual.
    """

    max_norm: float = knob(1.0, above=0, high=100, help="the largest norm of all gradients, of an entry, or for agc the ratio")
    mode: Literal["norm", "value", "agc"] = knob(
        "norm", help="scale all gradients together, cut each entry by itself, or limit each unit by the size of its weights"
    )

    def plug(self, parts: Parts) -> Any:
        """Itself, or what knows the weights. ValueError where agc finds no head to leave alone."""
        return Adaptive(self.max_norm, parts.model) if self.mode == "agc" else self

    def grads(self, grads: Gradients, at: Moment) -> Gradients:
        """Scale down in place, without waiting for the device."""
        import torch

        norm = grads.norm if grads.norm is not None else torch.nn.utils.get_total_norm(grads.tensors)
        if self.mode == "value":
            torch._foreach_clamp_min_(grads.tensors, -self.max_norm)
            torch._foreach_clamp_max_(grads.tensors, self.max_norm)
        else:
            torch._foreach_mul_(grads.tensors, (self.max_norm / (norm + 1e-6)).clamp(max=1.0))
        return grads._replace(norm=norm)
