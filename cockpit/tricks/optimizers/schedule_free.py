"""Schedule-free optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cockpit.cards import card, knob
from cockpit.families import Optimizer
from cockpit.tricks.optimizers._shared import L2, rated

if TYPE_CHECKING:
    import torch


@card(
    "schedule_free",
    conflicts={
        "moving_rate": "its average takes the place of a schedule; take schedule: constant without a warm-up",
        "averages": "it averages the weights already",
        "lr_scaling": "it has a rate and a warm-up of its own",
    },
    cautions={
        **L2,
        "batch": "the running statistics belong to the weights that train, not to the average that is scored; "
        "recalibrate_bn takes them anew",
    },
    when="The length of the run is not settled: it can be stopped at any time, at its best.",
    beware="Wants a larger lr than with a schedule: 1 to 10 times adamw's; for sgd 10 to 50 times, so 1 and more.",
    source="Defazio et al. 2024, arXiv 2405.15682",
)
class ScheduleFree(Optimizer):
    """SGD or AdamW with an average of the weights in place of a schedule and of momentum.

    What is scored and kept is the average. Written from the paper, with its momentum of 0.9.
    """

    contract: ClassVar[tuple[str, ...]] = ("train_eval",)

    lr: float = knob(2.5e-3, above=0, high=20, live=True, help="learning rate")
    base: Literal["adamw", "sgd"] = knob("adamw", help="what steps")
    warmup_steps: int = knob(500, low=0, high=100_000, live=True, help="steps over which the rate rises to lr")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="share of the weights, times lr, that each step removes")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """cockpit.optim.schedule_free."""
        from cockpit.optim import schedule_free

        return schedule_free.ScheduleFree(rated(groups, self), **self.options())
