"""Scores of a network in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from cockpit.engine.device import Precision
from cockpit.engine.feed import Feed

if TYPE_CHECKING:
    from cockpit.families import Criterion


class Scores(NamedTuple):
    """Means over a set of images."""

    loss: float
    accuracy: float
    images: int
    largest_class_share: float
    """Share of the predictions that fall into the most predicted class."""


@torch.no_grad()
def score(model: nn.Module, feed: Feed, ids: Iterable[Tensor], criterion: Criterion, precision: Precision) -> Scores:
    """Score the images of `ids` (int64 batches) without augmentation; the network's mode is put back afterwards."""
    was_training = model.training
    model.eval()
    losses, hits, predictions = [], [], []
    try:
        for places in ids:
            batch = feed.clean(places)
            with precision.autocast():
                logits = model(batch.x)
            guess = logits.argmax(1)
            losses.append(criterion(logits.float(), batch.y) * len(places))
            hits.append((guess == batch.y).sum())
            predictions.append(torch.bincount(guess, minlength=logits.shape[1]))
    finally:
        model.train(was_training)
    counts = torch.stack(predictions).sum(0)
    total, right, largest, count = torch.stack(
        [torch.stack(losses).double().sum(), torch.stack(hits).sum(), counts.max(), counts.sum()]
    ).tolist()
    return Scores(total / count, right / count, int(count), largest / count)
