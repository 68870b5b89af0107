"""A training put back exactly as it was, whatever is done to it in between."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cockpit.engine.training import Training


@contextmanager
def untouched(job: Training) -> Iterator[None]:
    """Weights, buffers, gradients, optimizer, scaler, tricks, counters and every generator are restored at the end."""
    state = copy.deepcopy(job.state_dict())
    modes = {module: module.training for module in job.model.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in job.model.buffers()]  # some are in no state_dict
    groups = job.optimizer.param_groups
    weights = dict.fromkeys([*job.model.parameters(), *(weight for group in groups for weight in group["params"])])
    kept = [(weight, weight.requires_grad, None if weight.grad is None else weight.grad.clone()) for weight in weights]
    try:
        yield
    finally:
        job.load_state_dict(state)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for module, mode in modes.items():
            module.training = mode
        for weight, wanted, gradient in kept:
            weight.requires_grad_(wanted)
            weight.grad = gradient
