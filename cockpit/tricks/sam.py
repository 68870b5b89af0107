"""Sharpness-aware minimisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cockpit.travel import Again, Step


@card(
    "sam",
    family="optimizer",
    seams=("update",),
    tags=("looks_twice",),
    conflicts={
        "grad_accumulation": "the nearby point is that of the whole batch; take a larger train.batch_size",
        "closure": "the optimizer looks at the batch again by itself",
        "create_graph": "the weights move between the backward pass and the step, and second derivatives would be wrong",
    },
    cautions={
        "grad_clip": "the first gradient, which only says where to look, is clipped too: no matter with mode norm, "
        "but value and agc turn it"
    },
    when="The network fits the training images and should do better on new ones.",
    beware="Twice the time a step. Loss and gradient norm shown are those of the weights, not of the nearby point.",
    source="Foret et al. 2021, arXiv 2010.01412; adaptive: Kwon et al. 2021, arXiv 2102.11600",
)
class Sam(Toggle):
    """Step by the gradient at the worst point nearby, so that the weights end where the loss is flat."""

    rho: float = knob(0.05, low=0.01, high=0.5, help="distance of the point; adaptive wants about ten times as much")
    adaptive: bool = knob(False, help="measure the distance in shares of each weight")

    def update(self, step: Step, optimizer: torch.optim.Optimizer) -> Step:
        """Move away, look again, move back to the bit, step."""
        import torch

        def wrapped(again: Again) -> None:
            with torch.no_grad():
                held = [weight for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None]
                home = [weight.clone() for weight in held]
                torch._foreach_add_(held, self._away(held))
            again()
            with torch.no_grad():
                torch._foreach_copy_(held, home)
            step(again)

        return wrapped

    def _away(self, held: list[Tensor]) -> list[Tensor]:
        """rho g / |g|; adaptive: rho w² g / |w g|."""
        import torch

        away = [weight.grad for weight in held if weight.grad is not None]
        if self.adaptive:
            away = list(torch._foreach_mul(away, torch._foreach_abs(held)))
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(away)))
        if self.adaptive:
            away = list(torch._foreach_mul(away, torch._foreach_abs(held)))
        return list(torch._foreach_mul(away, self.rho / (norm + 1e-12)))
