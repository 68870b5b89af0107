"""The gradient noise scale: the batch size beyond which a larger batch brings little (McCandlish et al. 2018,
arXiv 1812.06162, appendix A.1).
"""

import torch
from torch import Tensor

from cockpit.engine.checks.bare import clean_batch
from cockpit.engine.checks.found import Found
from cockpit.engine.checks.untouched import untouched
from cockpit.engine.training import Training


def noise_scale(job: Training, *, small: int = 16, big: int = 256, rounds: int = 4) -> Found:
    """tr(Sigma) / |G|^2 where the weights stand, from gradient norms at two batch sizes; evaluation mode, clean images."""
    big = min(big, len(job.train))
    small = min(small, big // 4)
    if small < 1:
        return Found("noise_scale", True, f"not measurable: {len(job.train)} training images are too few")
    x, y = clean_batch(job, big * rounds)
    big = min(big, len(y))
    with untouched(job):
        job.model.eval()
        pairs = [_squares(job, x[i : i + big], y[i : i + big], small) for i in range(0, len(y) - big + 1, big)]
    of_small = sum(pair[0] for pair in pairs) / len(pairs)
    of_big = sum(pair[1] for pair in pairs) / len(pairs)
    signal = (big * of_big - small * of_small) / (big - small)
    noise = (of_small - of_big) / (1 / small - 1 / big)
    if signal <= 0:
        return Found("noise_scale", True, "not measurable yet: the gradient is all noise at these batch sizes")
    scale = noise / signal
    now = job.batch_size
    words = (
        "smaller than that: a larger batch still pays" if now < scale else "larger than that: more images a step bring little"
    )
    headline = f"about {scale:.3g} images; the batch of {now} is {words}"
    return Found("noise_scale", True, headline, (), {"scale": scale, "signal": signal, "noise": noise, "batch": now})


def _squares(job: Training, x: Tensor, y: Tensor, small: int) -> tuple[float, float]:
    """Mean squared gradient norm of the small batches, and that of all together."""
    parts = [_gradient(job, part, labels) for part, labels in zip(x.split(small), y.split(small), strict=True)]
    whole = torch.stack([part * len(labels) for part, labels in zip(parts, y.split(small), strict=True)]).sum(0) / len(y)
    full = [part for part, labels in zip(parts, y.split(small), strict=True) if len(labels) == small]
    return float(torch.stack([part.square().sum() for part in full]).mean()), float(whole.square().sum())


def _gradient(job: Training, x: Tensor, y: Tensor) -> Tensor:
    """One flat gradient."""
    weights = [weight for weight in job.model.parameters() if weight.requires_grad]
    loss = job.criterion(job.model(x).float(), y)
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return torch.cat([(torch.zeros_like(w) if g is None else g).flatten() for w, g in zip(weights, found, strict=True)])
