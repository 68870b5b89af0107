"""Images on the device as bytes, and the batches of an epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cockpit.engine.randomness import stream
from cockpit.travel import Batch


@dataclass(frozen=True)
class Feed:
    """One split on the device. Every batch is a copy, so that a trick may change it in place."""

    pixels: Tensor
    """uint8 (N, C, H, W)"""
    labels: Tensor
    """int64 (N,)"""
    scale: float
    """A pixel times this lies in [0, 1]."""
    mean: Tensor
    """float (1, C, 1, 1), of the training split, in [0, 1]."""
    std: Tensor
    layout: torch.memory_format = torch.contiguous_format
    """How the images that leave it lie in memory."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, ids: Tensor) -> Batch:
        """The images of these places, in [0, 1] and not yet standardised. `ids`: int64 on the device."""
        return Batch(self.pixels[ids].float().mul_(self.scale), self.labels[ids], ids)

    def standardise(self, batch: Batch) -> Batch:
        """Subtract the mean and divide by the standard deviation of the training split, per channel."""
        return batch._replace(x=((batch.x - self.mean) / self.std).contiguous(memory_format=self.layout))

    def clean(self, ids: Tensor) -> Batch:
        """The images as evaluation sees them."""
        return self.standardise(self.take(ids))


def shuffled(count: int, batch_size: int, *, seed: int, epoch: int, drop_last: bool) -> tuple[Tensor, ...]:
    """The places of an epoch's batches in their order, a function of (seed, epoch) alone."""
    order = torch.randperm(count, generator=stream(seed, "shuffle", epoch))
    whole = count - count % batch_size if drop_last else count
    batches: tuple[Tensor, ...] = order[:whole].split(batch_size)
    return batches


def in_order(count: int, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """The places of a whole split, in order, the short last batch included."""
    yield from torch.arange(count, device=device).split(batch_size)
