"""The recipe's network without its tricks, freshly built: what a question about the architecture wants."""

import copy

import torch
from torch import Tensor, nn

from cockpit.engine.assemble import build_model
from cockpit.engine.randomness import restore, state
from cockpit.engine.training import Training


def bare_model(job: Training) -> nn.Module:
    """A network with the weights of the recipe's seed, none of its toggles hung on it. No generator moves."""
    before = state()
    try:
        return build_model(job.recipe, job.task, allow_code=True).to(job.device)
    finally:
        restore(before)


def clean_batch(job: Training, images: int) -> tuple[Tensor, Tensor]:
    """The first images of the clean probe, standardised, and their classes."""
    places = torch.cat(list(job.probe_places()))[:images]
    batch = job.train.clean(places)
    return batch.x, batch.y


def twin(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode that needs no gradients."""
    return copy.deepcopy(model).eval().requires_grad_(False)
