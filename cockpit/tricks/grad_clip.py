"""Gradient clipping."""

from __future__ import annotations

from typing import Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Gradients, Moment


@card(
    "grad_clip",
    family="regularisation",
    aliases=("gradient_clipping",),
    seams=("grads",),
    stage="clip",
    live=True,
    when="The gradient norm spikes, or training diverges after a good start.",
    beware="A limit far below the usual norm is only a smaller learning rate. The norm shown is the one before clipping.",
    source="Pascanu et al. 2013, arXiv 1211.5063",
)
class GradClip(Toggle):
    """Limit the gradient before the optimizer sees it."""

    max_norm: float = knob(1.0, above=0, high=100, help="the largest norm of all gradients together, or of each entry")
    mode: Literal["norm", "value"] = knob("norm", help="scale all gradients together, or cut each entry by itself")

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
