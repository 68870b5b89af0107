"""Evaluation shared out: the processes take turns with the batches, and each learns what all of them saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from cockpit.engine.distributed import world
from cockpit.engine.units import Activity


class Piece(NamedTuple):
    """What a batch scored."""

    number: int
    loss: Tensor
    """Scalar, a sum over images."""
    logits: Tensor
    """float (B, K)"""
    labels: Tensor
    """int64 (B,)"""


def turns(batches: Iterable[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """The batches that are this process's, with their numbers."""
    here = world()
    return ((number, places) for number, places in enumerate(batches) if number % here.size == here.rank)


def pooled(pieces: Sequence[Piece]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Losses, logits and labels of every batch, in the order of the batches; of several processes, on the CPU."""
    if world().size > 1:
        mine = [Piece(piece.number, *(part.cpu() for part in piece[1:])) for piece in pieces]
        pieces = sorted((piece for each in world().collect(mine) for piece in each), key=lambda piece: piece.number)
    return [piece.loss for piece in pieces], [piece.logits for piece in pieces], [piece.labels for piece in pieces]


def pool_activity(activity: Activity) -> None:
    """Make what this process saw of the units what all processes saw."""
    if world().size > 1:
        activity.join(world().collect(activity.seen()))
