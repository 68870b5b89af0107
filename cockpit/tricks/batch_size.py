"""The size of the batch: the rate that goes with it, batches that grow, batches in parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Epoch, Moment, Parts

if TYPE_CHECKING:
    from torch import Tensor

ENOUGH = 32
"""Growths after which any epoch is one step."""


class Merged:
    """Makes one step of several batches in a row; the loop takes it in parts of train.batch_size."""

    def __init__(self, size: Callable[[int], int]) -> None:
        self._size = size
        """Number of the epoch -> batches to a step."""

    def sampler(self, batches: Sequence[Tensor], epoch: Epoch) -> tuple[Tensor, ...]:
        """Places, int64 (B,) for each batch -> joined; the last step of the epoch holds what remains."""
        import torch

        size = self._size(epoch.number)
        return tuple(torch.cat(tuple(batches[start : start + size])) for start in range(0, len(batches), size))

    def steps(self, count: int, epoch: int) -> int:
        """The steps of an epoch that would have `count` without it."""
        return math.ceil(count / self._size(epoch))


@card(
    "lr_scaling",
    family="schedule",
    seams=("schedule",),
    live=True,
    when="A recipe's rate is known for another batch size. linear for SGD; sqrt for Adam and its kin.",
    beware="A rule of thumb that breaks for very large batches: beyond 8 times the base, warm up and measure.",
    source="Goyal et al. 2017, arXiv 1706.02677; Malladi et al. 2022, arXiv 2205.10287",
    conflicts={
        "no_lr": "there is no base rate to scale: this optimizer finds its own",
        "train_eval": "there is no base rate to scale: schedule-free optimizers are tuned as they are",
        "prodigy": "there is no base rate to scale: prodigy finds its own and wants lr 1",
    },
    cautions={"batch_growth": "the rate follows the first batch and stays while the batch grows"},
)
class LrScaling(Toggle):
    """Scale the recipe's rate from the batch it was found for to the batch of this run."""

    rule: Literal["linear", "sqrt"] = knob("linear", help="by the ratio of the batches, or by its square root")
    base_batch: int = knob(256, low=1, high=65_536, help="the batch that the recipe's rate is for")

    def schedule(self, lr: float, at: Moment) -> float:
        """lr k, or lr sqrt(k), with k = images in a step / base_batch."""
        ratio = at.batch_size / self.base_batch
        return lr * (ratio if self.rule == "linear" else math.sqrt(ratio))


@card(
    "batch_growth",
    family="schedule",
    seams=("sampler",),
    stage="group",
    when="Instead of lowering the rate: the noise falls in the same way, in fewer and larger steps.",
    beware="Memory does not grow, but batch norm and mixing go on to see parts of train.batch_size images.",
    source="Smith et al. 2018, arXiv 1711.00489",
    conflicts={"rate_drops": "both lower the noise at the same epochs; take a constant schedule"},
    cautions={"moving_rate": "both a falling rate and a growing batch lower the noise"},
)
class BatchGrowth(Toggle):
    """Make each step of so many batches, and more every few epochs."""

    factor: int = knob(2, low=2, high=16, help="the batch becomes so many times as large")
    every: int = knob(30, low=1, help="epochs between two growths")

    def plug(self, parts: Parts) -> Merged:
        """factor ** floor(epoch / every) batches to a step."""
        return Merged(lambda epoch: self.factor ** min(epoch // self.every, ENOUGH))


@card(
    "grad_accumulation",
    family="optimizer",
    seams=("sampler",),
    stage="group",
    when="The batch that a recipe asks for does not fit into memory.",
    beware="An epoch has fewer steps, and all that counts steps follows. steps: 1 changes nothing.",
    source="Ott et al. 2018, arXiv 1806.00187, section 3.2",
    conflicts={"sam": "its worst nearby point is meant for one batch, not for a sum over several"},
    cautions=dict.fromkeys(
        ("batch", "split_batch", "sync_batch"), "norm statistics are those of each part; group norm does not see the difference"
    )
    | {
        "mixing": "partners are found within a part of the step only",
        "triplet": "triplets are found within a part of the step only",
    },
)
class GradAccumulation(Toggle):
    """Sum the gradients of several batches before each step, each image with the same weight.

    The short last cycle of an epoch is divided by the images that it has.
    """

    steps: int = knob(1, low=1, high=64, help="batches to a step")

    def plug(self, parts: Parts) -> Merged:
        """As many in every epoch."""
        return Merged(lambda epoch: self.steps)
