"""A training put back exactly as it was, whatever is done to it in between."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from cockpit.engine.training import Training


@contextmanager
def untouched(job: Training) -> Iterator[None]:
    """Weights, buffers, gradients, optimizer, scaler, tricks, counters and every generator are restored at the end."""
    state = copy.deepcopy(job.state_dict())
    modes = {module: module.training for module in job.model.modules()}
    weights = list(job.model.parameters())
    trained = [weight.requires_grad for weight in weights]
    gradients = [None if weight.grad is None else weight.grad.clone() for weight in weights]
    rates = [group["lr"] for group in job.optimizer.param_groups]
    try:
        yield
    finally:
        job.load_state_dict(state)
        for module, mode in modes.items():
            module.training = mode
        for weight, wanted, gradient in zip(weights, trained, gradients, strict=True):
            weight.requires_grad_(wanted)
            weight.grad = gradient
        for group, rate in zip(job.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
