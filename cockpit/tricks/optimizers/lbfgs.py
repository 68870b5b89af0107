"""L-BFGS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cockpit.cards import card, knob
from cockpit.families import Optimizer
from cockpit.tricks.optimizers._shared import FULL_BATCH, IN_PARTS, FullBatch, rated

if TYPE_CHECKING:
    import torch

_ONE = "lbfgs takes all weights as one vector, with one rate and one decay"


@card(
    "lbfgs",
    seams=("sampler",),
    stage="group",
    conflicts={
        **FULL_BATCH,
        **dict.fromkeys(("no_decay_1d", "bias_lr_scale", "layer_decay"), _ONE),
        "grad_clip": "a clipped gradient is not that of the loss, and the line search would go astray",
    },
    cautions=IN_PARTS,
    when="Small networks on few images: to see how far the training loss can fall.",
    beware="One step an epoch, of up to max_iter passes over all images. It may fit the training set far too well.",
    source="Liu & Nocedal 1989, Mathematical Programming 45",
)
class LBfgs(FullBatch, Optimizer):
    """Quasi-Newton: the last gradients tell the curvature, and a line search the length of the step."""

    contract: ClassVar[tuple[str, ...]] = ("closure",)

    lr: float = knob(1.0, above=0, high=20, live=True, help="length of the first try of a step")
    max_iter: int = knob(20, low=1, high=1000, live=True, help="iterations in a step")
    history_size: int = knob(100, low=1, high=1000, help="gradients that are remembered, each as large as the network")
    line_search: Literal["strong_wolfe", "none"] = knob("strong_wolfe", help="how the length of an iteration is found")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="L2 penalty, part of the loss")

    def options(self) -> dict[str, Any]:
        """As the base says, with torch's names."""
        found = super().options()
        search = found.pop("line_search")
        return {**found, "line_search_fn": None if search == "none" else search}

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.LBFGS, whose loss includes the weight decay."""
        from cockpit.optim.lbfgs import Lbfgs

        return Lbfgs(rated(groups, self), **self.options())
