"""A look at whether the network can take these images at all, before anything is built around it."""

import copy

import torch
from torch import nn

from cockpit.engine.feed import Feed
from cockpit.engine.randomness import apart
from cockpit.recipe import Recipe


class TrialError(Exception):
    """The network cannot take the images; the text is one sentence."""


def try_out(model: nn.Module, train: Feed, classes: int, recipe: Recipe) -> None:
    """Show a copy two images, and one where an epoch has a batch of one. Raises TrialError; nothing moves.

    Norm layers that have nothing to take statistics of only say so in training.
    """
    shape = "x".join(map(str, train.pixels.shape[2:]))
    try:
        logits = _shown(model, train, min(2, len(train)))
    except (ValueError, RuntimeError) as error:
        if recipe.model.runs_code:
            raise
        why = " ".join(str(error).split())[:160]
        raise TrialError(f"model: this network cannot take {shape} images: {why}") from error
    if logits.shape != (min(2, len(train)), classes):
        raise TrialError(f"model: the network answers with {tuple(logits.shape)} for two images; (2, {classes}) is wanted")
    _try_single(model, train, recipe)


def _try_single(model: nn.Module, train: Feed, recipe: Recipe) -> None:
    size, drop_last = recipe.train.batch_size, recipe.train.drop_last
    if size > 1 and (drop_last or len(train) % size != 1):
        return
    try:
        _shown(model, train, 1)
    except ValueError as error:
        which = "every batch" if size == 1 else f"the last batch of the {len(train)} training images"
        raise TrialError(
            f"train.batch_size: {size} leaves {which} with 1 image, and batch norm takes its statistics over several; "
            f"take {size + 1}{'' if size == 1 else ', or train.drop_last: on'}"
        ) from error


def _shown(model: nn.Module, train: Feed, count: int) -> torch.Tensor:
    places = torch.arange(count, device=train.labels.device)
    with torch.no_grad(), apart(places.device):
        logits: torch.Tensor = copy.deepcopy(model).train()(train.clean(places).x)
    return logits
