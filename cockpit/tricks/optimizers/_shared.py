"""What several optimizers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cockpit.cards import knob
from cockpit.families import Optimizer

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from cockpit.travel import Epoch, Parts

L2 = {"l2": "the penalty is divided by the size of the gradient, so that little of it is left; adamw decays as asked"}
"""A caution of every optimizer that divides by the size of the gradient."""

_NOISE = "one step takes the whole training set, and nothing in it may be random"
_ALL = "one step takes the whole training set, whatever batches are drawn"
FULL_BATCH = {
    **dict.fromkeys(("mixing", "multi_input", "fgsm_rs", "pgd", "rrelu", "repeated_aug"), _NOISE),
    **dict.fromkeys(("dropout", "dropout_2d", "alpha_dropout", "drop_block", "stochastic_depth", "patch_dropout"), _NOISE),
    **dict.fromkeys(("random_flip", "random_crop", "random_resized_crop", "rotation", "affine", "random_erasing"), _NOISE),
    **dict.fromkeys(("color_jitter", "pca_lighting", "gaussian_noise", "cutout"), _NOISE),
    **dict.fromkeys(("auto_augment", "rand_augment", "trivial_augment", "aug_mix"), _NOISE),
    **dict.fromkeys(("grad_accumulation", "batch_growth", "triplet"), _ALL),
}
"""The conflicts of an optimizer that takes all images in one step."""
IN_PARTS = {"batch": "the images pass in parts of train.batch_size, and batch norm takes its statistics from each part alone"}
"""Its caution."""
NO_RATE = {
    "moving_rate": "it finds its own rates, and a schedule has nothing to move; take schedule: constant without a warm-up",
    **dict.fromkeys(("lr_scaling", "bias_lr_scale", "layer_decay"), "it finds its own rates, and there is none to scale"),
}
"""The conflicts of an optimizer without a learning rate."""


def rated(groups: list[dict[str, Any]], knobs: Optimizer) -> list[dict[str, Any]]:
    """The groups with their learning rates, the knob times a group's own `lr_scale`, and in the same way their decays."""
    rates = [{**group, "lr": knobs.lr * group.get("lr_scale", 1.0)} for group in groups]
    for group in rates:
        if "decay_scale" in group:
            decay = getattr(knobs, "weight_decay", 0.0)
            group["weight_decay"] = group.get("weight_decay", decay) * group["decay_scale"]
    return rates


class Whole:
    """Every image in one step; the loop passes them in parts and adds the gradients.

    The order matters to batch norm only, and is the same in every epoch.
    """

    def __init__(self, stream: Callable[[str], Generator]) -> None:
        self._stream = stream

    def sampler(self, batches: Sequence[Tensor], epoch: Epoch) -> tuple[Tensor, ...]:
        """One batch of every place of the training split."""
        import torch

        return (torch.randperm(len(epoch.labels), generator=self._stream("full_batch")),)

    def steps(self, count: int, epoch: int) -> int:
        """One."""
        return 1


class FullBatch:
    """An optimizer that takes all images in one step."""

    def plug(self, parts: Parts) -> Whole:
        """Its sampler."""
        return Whole(parts.stream)


@dataclass(frozen=True)
class Betas(Optimizer):
    """What optimizers with two memories share."""

    lr: float = knob(1e-3, above=0, high=20, live=True, help="learning rate")
    betas: tuple[float, float] = knob((0.9, 0.999), low=0, below=1, help="memory of the gradient, and of its square")

    def __post_init__(self) -> None:
        """ValueError where betas is no pair."""
        if len(self.betas) != 2:
            raise ValueError(f"betas takes two numbers, as in [0.9, 0.999]; it has {len(self.betas)}")
