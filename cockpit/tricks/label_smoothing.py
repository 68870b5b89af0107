"""Label smoothing: ask for a little less than certainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Task
from cockpit.tricks.losses.targets import NEEDS_INDICES

if TYPE_CHECKING:
    from torch import Tensor

    from cockpit.travel import Criterion


@card(
    "label_smoothing",
    family="regularisation",
    seams=("loss",),
    live=True,
    tags=("soft_targets",),
    when="The network is too sure of itself, or some labels are wrong.",
    beware="The training loss can no longer reach 0; validation loss is measured without it. Hurts a network that will teach.",
    source="Szegedy et al. 2016, arXiv 1512.00567",
    conflicts={"index_only": NEEDS_INDICES},
    cautions={"hard_targets": "a target_threshold turns the smoothed targets back into 0 and 1"},
)
class LabelSmoothing(Toggle):
    """Spread a share of each target evenly over all classes."""

    epsilon: float = knob(0.1, low=0, high=0.5, help="the share that is spread")

    def loss(self, criterion: Criterion, task: Task) -> Criterion:
        """Smooth the target, hard or soft, then ask the criterion."""
        from torch.nn import functional

        def smoothed(logits: Tensor, target: Tensor) -> Tensor:
            if not target.is_floating_point():
                target = functional.one_hot(target, task.classes).to(logits.dtype)
            return criterion(logits, target * (1 - self.epsilon) + self.epsilon / task.classes)

        return smoothed
