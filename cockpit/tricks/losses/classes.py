"""Batches of a few classes with several images of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IMAGES = 8
"""Images of a class in a batch, and more where the classes are too few to fill it."""


def batches_by_class(sizes: Sequence[int], labels: Tensor, draws: torch.Generator) -> tuple[Tensor, ...]:
    """Places of batches of these sizes, each in random order. Classes of a single image are left out.

    A class's images come in a random order that is drawn anew when too few are left, so that a batch holds none twice
    unless the class is smaller than its part of the batch. `labels`: int64 (N,) on the CPU.
    """
    import torch

    pools = [Pool(places, draws) for places in _by_class(labels) if len(places) > 1]
    batches = []
    for size in sizes:
        groups = min(len(pools), max(2, size // IMAGES))
        chosen = torch.randperm(len(pools), generator=draws)[:groups].tolist()
        shares = [size // groups + (number < size % groups) for number in range(groups)]
        places = torch.cat([pools[which].take(share) for which, share in zip(chosen, shares, strict=True)])
        batches.append(places[torch.randperm(size, generator=draws)])
    return tuple(batches)


class Pool:
    """The images of one class, dealt out in a random order."""

    def __init__(self, places: Tensor, draws: torch.Generator) -> None:
        self._places, self._draws = places, draws
        self._left = places[:0]

    def take(self, count: int) -> Tensor:
        """The next places; from a new order where too few of the old one are left."""
        import torch

        if count > len(self._left):
            rounds = math.ceil(count / len(self._places))
            orders = [torch.randperm(len(self._places), generator=self._draws) for _ in range(rounds)]
            self._left = self._places[torch.cat(orders)]
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def _by_class(labels: Tensor) -> tuple[Tensor, ...]:
    import torch

    order: Tensor = labels.argsort(stable=True)
    places: tuple[Tensor, ...] = order.split(torch.bincount(labels).tolist())
    return places
