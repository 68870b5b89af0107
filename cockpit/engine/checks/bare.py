"""The recipe's network without its tricks, freshly built: what a question about the architecture wants."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cockpit.engine import randomness
from cockpit.engine.assemble import build_model
from cockpit.engine.training import Training


@contextmanager
def own_draws(job: Training) -> Iterator[None]:
    """Draw from the recipe's seed; afterwards every generator stands where it stood."""
    before = randomness.state()
    randomness.seed_all(job.recipe.seed)
    try:
        yield
    finally:
        randomness.restore(before)


def bare_model(job: Training) -> nn.Module:
    """A network with the weights of the recipe's seed, none of its toggles hung on it. No generator moves."""
    with own_draws(job):
        return build_model(job.recipe, job.task, allow_code=True).to(job.device)


def clean_batch(job: Training, images: int) -> tuple[Tensor, Tensor]:
    """The first images of the clean probe, standardised, and their classes."""
    places = torch.cat(list(job.probe_places()))[:images]
    batch = job.train.clean(places)
    return batch.x, batch.y


def twin(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode that needs no gradients."""
    return copy.deepcopy(model).eval().requires_grad_(False)
