"""Lion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.tricks.optimizers._shared import L2, Betas, rated

if TYPE_CHECKING:
    import torch


@card(
    "lion",
    cautions=L2,
    when="Transformers and large batches, with less memory than adamw.",
    beware="Every step is as long as the rate in every weight: take lr 3 to 10 times below adamw's and decay as far above.",
    source="Chen et al. 2023, arXiv 2302.06675",
)
class Lion(Betas):
    """Step by the sign of a blend of gradient and momentum."""

    lr: float = knob(1e-4, above=0, high=20, live=True, help="learning rate")
    betas: tuple[float, float] = knob((0.9, 0.99), low=0, below=1, help="share of the momentum in the step, and its memory")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="share of the weights, times lr, that each step removes")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """timm.optim.Lion."""
        import timm.optim

        built: torch.optim.Optimizer = timm.optim.Lion(rated(groups, self), **self.options())
        return built
