"""Optimizers for very large batches: the step of each layer is a share of the norm of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Optimizer
from cockpit.tricks.optimizers._shared import L2, Betas, rated

if TYPE_CHECKING:
    import torch

ADAPT_HELP = "scale filters and matrices also where weight_decay is 0; off is the library's own way"
CLIP_HELP = "let the ratio only make steps smaller"


@card(
    "lars",
    when="Very large batches, where one rate for all layers no longer fits.",
    beware="lr is on another scale than sgd's: try 1 and more, with warm-up. Biases and norm layers take plain sgd steps.",
    source="You et al. 2017, arXiv 1708.03888",
    slide="The slide's rate is eta norm(w) / norm(g): its eta is the trust coefficient (0.001), not the learning rate, "
    "and with weight decay the lower part is norm(g) + weight_decay norm(w).",
)
class Lars(Optimizer):
    """Momentum whose step in each layer is trust_coeff times the norm of the layer's weights, times lr."""

    lr: float = knob(1.0, above=0, high=20, live=True, help="learning rate")
    momentum: float = knob(0.9, low=0, high=0.999, live=True, help="share of the last step that is kept")
    trust_coeff: float = knob(0.001, above=0, high=1, live=True, help="length of a layer's step over the norm of its weights")
    trust_clip: bool = knob(False, live=True, help=CLIP_HELP)
    always_adapt: bool = knob(True, help=ADAPT_HELP)
    weight_decay: float = knob(1e-4, low=0, high=1, live=True, help="L2 penalty, added to the gradient")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """timm.optim.Lars over filters and matrices on one side and vectors on the other."""
        from cockpit.optim import trust

        parts = trust.divided(rated(groups, self), always_adapt=self.always_adapt)
        return trust.Lars(parts, **self.options())


@card(
    "lamb",
    cautions=L2,
    when="Large batches with networks that want Adam; the recipes A1 to A3 of ResNet strikes back.",
    beware="Clips the norm of all gradients at 1 unless max_grad_norm is null. Biases and norm layers take plain adamw steps.",
    source="You et al. 2020, arXiv 1904.00962",
    slide="The slide's ratio is eta norm(w) / norm(g): in lamb it is norm(w) over the norm of Adam's step with the decay term "
    "in it, and the learning rate stands before it.",
)
class Lamb(Betas):
    """Adam whose step in each layer is as long as the norm of the layer's weights, times lr."""

    lr: float = knob(5e-3, above=0, high=20, live=True, help="learning rate")
    eps: float = knob(1e-6, above=0, high=1, help="added to the root of the second moment")
    max_grad_norm: float | None = knob(1.0, above=0, high=100, help="clip the norm of all gradients here; null does not clip")
    trust_clip: bool = knob(False, live=True, help=CLIP_HELP)
    always_adapt: bool = knob(True, help=ADAPT_HELP)
    weight_decay: float = knob(0.02, low=0, high=1, live=True, help="share of the weights in the step, before it is scaled")

    @property
    def traits(self) -> tuple[str, ...]:
        """`clips` where it clips by itself."""
        return () if self.max_grad_norm is None else ("clips",)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """timm.optim.Lamb over filters and matrices on one side and vectors on the other."""
        from cockpit.optim import trust

        parts = trust.divided(rated(groups, self), always_adapt=self.always_adapt)
        return trust.Lamb(parts, **self.options())
