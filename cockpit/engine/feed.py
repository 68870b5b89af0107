"""Images on the device as bytes, or on their way there, and the batches of an epoch."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cockpit.engine.blocks import Block, Ordered, reach
from cockpit.engine.lines import Mine
from cockpit.engine.randomness import stream
from cockpit.engine.streaming import Stream, Then
from cockpit.travel import Batch


@dataclass
class _Ahead:
    """What is made before it is asked for."""

    ordered: Ordered = field(default_factory=Ordered)
    block: Block | None = None


@dataclass(frozen=True)
class Feed:
    """One split. Every batch is a copy, so that a trick may change it in place."""

    pixels: Tensor
    """uint8 (N, C, H, W), on the device; (0, C, H, W) where the images come from a stream."""
    labels: Tensor
    """int64 (N,)"""
    scale: float
    """A pixel times this lies in [0, 1]."""
    mean: Tensor
    """float (1, C, 1, 1), of the training split, in [0, 1]."""
    std: Tensor
    layout: torch.memory_format = torch.contiguous_format
    """How the images that leave it lie in memory."""
    stream: Stream | None = None
    """Where images come from that do not lie on the device."""
    _ahead: _Ahead = field(default_factory=_Ahead, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.labels)

    def follow(self, batches: Sequence[Tensor], mine: Mine | None = None, then: Then | None = None) -> Iterator[Tensor]:
        """The places of these batches (int64, on the CPU) on the device, one after the other; `take` makes their images ahead.

        `mine`: which part of a batch this process will take, all of it unless said. `then`: gives the batches that follow.
        """
        if not batches:
            return
        order = torch.cat(tuple(batches)).to(self.labels.device)
        self._ahead.ordered.add(order)
        with self.stream.line(order, batches, mine, then) if self.stream else nullcontext():
            yield from order.split([len(places) for places in batches])

    def in_order(self, batch_size: int, mine: Mine | None = None) -> Iterator[Tensor]:
        """The places of the whole split, in order, the short last batch included."""
        return self.follow(torch.arange(len(self)).split(batch_size), mine)

    def take_news(self) -> list[str]:
        """What the user should know of the images since this was asked last."""
        if not self.stream or not self.stream.images.news:
            return []
        news = self.stream.images.news
        said = [*news]
        news.clear()
        return said

    def take_waited(self) -> float:
        """Seconds that the training stood waiting for images since this was asked last."""
        return self.stream.take_waited() if self.stream else 0.0

    def take(self, ids: Tensor) -> Batch:
        """The images of these places, in [0, 1] and not yet standardised. `ids`: int64 on the device."""
        ahead = self._ahead
        made = ahead.block.part(ids) if ahead.block else None
        if made is None and (block := self._block_from(ids)):
            ahead.block, made = block, block.part(ids)
        return Batch(*(made or self._made(ids)), ids)

    def _made(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.stream.gather(ids) if self.stream else self.pixels.index_select(0, ids)
        return pixels.float().mul_(self.scale), self.labels.index_select(0, ids)

    def _block_from(self, ids: Tensor) -> Block | None:
        """A block that begins with this batch; None where it would hold no more, or where the batch was handed out before."""
        order, block, begin = self._ahead.ordered.of(ids), self._ahead.block, int(ids.storage_offset())
        if order is None or (block and block.order is order and block.first <= begin < block.end):
            return None
        end = reach(ids, order, self.pixels.shape[1:].numel())
        if end <= begin + len(ids):
            return None
        return Block(order, begin, end, *self._made(order.narrow(0, begin, end - begin)))

    def standardise(self, batch: Batch) -> Batch:
        """Subtract the mean and divide by the standard deviation of the training split, per channel."""
        block = self._ahead.block
        ready = block.standardised(batch.x, self._standardised) if block else None
        return batch._replace(x=self._standardised(batch.x) if ready is None else ready)

    def _standardised(self, x: Tensor) -> Tensor:
        return (x - self.mean).div_(self.std).contiguous(memory_format=self.layout)

    def clean(self, ids: Tensor) -> Batch:
        """The images as evaluation sees them."""
        return self.standardise(self.take(ids))


def shuffled(count: int, batch_size: int, *, seed: int, epoch: int, drop_last: bool) -> tuple[Tensor, ...]:
    """The places of an epoch's batches in their order, a function of (seed, epoch) alone."""
    order = torch.randperm(count, generator=stream(seed, "shuffle", epoch))
    whole = count - count % batch_size if drop_last else count
    batches: tuple[Tensor, ...] = order[:whole].split(batch_size)
    return batches
