"""Repeated augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Epoch

if TYPE_CHECKING:
    from torch import Tensor

ALIKE = "the batch holds copies of fewer images, so its statistics are noisier"


@card(
    "repeated_aug",
    family="augmentation",
    seams=("sampler",),
    stage="repeat",
    live=True,
    when="Strong augmentation and large batches.",
    beware="Without augmentation the copies are equal, and it only wastes steps. An epoch keeps its length and shows one image "
    "in k: compare runs by steps.",
    cautions={
        "batch": ALIKE,
        "mixing": "two copies of one image may be mixed with each other; keep the batch larger than 2 k",
    },
    conflicts={"triplet": "it chooses which images share a batch itself"},
    source="Hoffer et al. 2020, arXiv 1901.09335; Berman et al. 2019, arXiv 1902.05509",
)
class RepeatedAug(Toggle):
    """Show each image several times in its batch, augmented differently, in place of other images."""

    k: int = knob(3, low=2, high=8, help="copies of each image")

    def sampler(self, batches: tuple[Tensor, ...], epoch: Epoch) -> tuple[Tensor, ...]:
        """Batches of int64 (B,) -> the same lengths, B // k images k times and the rest filled with single ones."""
        return tuple(self._repeat(batch) for batch in batches)

    def _repeat(self, batch: Tensor) -> Tensor:
        import torch

        images = len(batch) // self.k
        # Whole rounds: neighbours differ, so a mixer that pairs neighbours does not pair an image with itself.
        return torch.cat([batch[:images].repeat(self.k), batch[images : images + len(batch) - images * self.k]])
