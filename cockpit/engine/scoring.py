"""Scores of a network in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn

from cockpit.catalog import family
from cockpit.engine.device import Precision
from cockpit.engine.distributed_scores import Piece, pooled, turns
from cockpit.engine.feed import Feed
from cockpit.engine.memory import Room, fewest

if TYPE_CHECKING:
    from cockpit.recipe import Recipe
    from cockpit.travel import Criterion


class Scores(NamedTuple):
    """Means over a set of images."""

    loss: float
    accuracy: float
    images: int
    largest_class_share: float
    """Share of the predictions that fall into the most predicted class."""
    logits: Tensor
    """float (N, K), on the CPU."""
    labels: Tensor
    """int64 (N,), on the CPU."""


@torch.no_grad()
def score(
    model: nn.Module,
    feed: Feed,
    ids: Iterable[Tensor],
    criterion: Criterion,
    precision: Precision,
    mode: Literal["eval", "train"] = "eval",
    room: Room | None = None,
    record: object = None,
) -> Scores:
    """Score the images of `ids` (int64 batches) without augmentation; the network's mode is put back afterwards.

    The processes of a run take turns with the batches, and all know the result. `room`: how much of a batch is computed at
    once, and `record`, what hooks on the network write to: see `Room.logits`. Raises TooLargeError.
    """
    was_training = model.training
    model.train(mode == "train")
    room, least, pieces = room or Room(), fewest(model) if mode == "train" else 1, []

    def passes(places: Tensor) -> Tensor:
        with precision.autocast():
            logits: Tensor = model(feed.clean(places).x)
        return logits.float()

    try:
        for number, places in turns(ids):
            logits, labels = room.logits(passes, places, least, record), feed.labels[places]
            pieces.append(Piece(number, criterion(logits, labels) * len(places), logits, labels))
    finally:
        model.train(was_training)
    losses, outputs, classes = pooled(pieces)
    logits, truth = torch.cat(outputs), torch.cat(classes)
    guess = logits.argmax(1)
    counts = torch.bincount(guess, minlength=logits.shape[1])
    total, right, largest = torch.stack(
        [torch.stack(losses).double().sum(), (guess == truth).sum().double(), counts.max().double()]
    ).tolist()
    images = len(truth)
    return Scores(total / images, right / images, images, largest / images, logits.cpu(), truth.cpu())


def rank(recipe: Recipe, scores: dict[str, float], seen: Scores) -> tuple[float, float]:
    """By what evaluations and soups are compared, the larger the better: the chosen score, then the loss."""
    value = scores[recipe.score.card.name]
    return value if recipe.score.higher_is_better else -value, -seen.loss


def all_scores(recipe: Recipe, seen: Scores) -> dict[str, float]:
    """Every score of the catalogue by name, the chosen one with its knobs; those that these classes do not allow left out."""
    chosen, probabilities = recipe.score, recipe.loss.probabilities(seen.logits)
    named = {name: card.cls() for name, card in family("score").items()} | {chosen.card.name: chosen}
    scores = {}
    for name, score in named.items():
        with nullcontext() if score is chosen else suppress(ValueError):
            scores[name] = score.measure(probabilities, seen.labels)
    return scores
