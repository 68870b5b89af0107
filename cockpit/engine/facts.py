"""A few numbers of what goes into a network and what comes out of it: what rules about data and outputs judge."""

import math

import torch
from torch import Tensor, nn

from cockpit.runs.facts import Inputs, Outputs

BINS = 16
"""Parts of a histogram."""


NORMS = (
    *(nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm),
    nn.LocalResponseNorm,
)


def early_norm(model: nn.Module) -> bool:
    """Whether a norm layer is registered before the first layer with weights, or right after it."""
    parts = [part for part in model.modules() if isinstance(part, (*NORMS, nn.Linear, nn.modules.conv._ConvNd))]
    return any(isinstance(part, NORMS) for part in parts[:2])


@torch.no_grad()
def inputs_of(x: Tensor) -> Inputs:
    """Of some inputs (N, C, ...) as they enter the network; a vector's entries are its channels."""
    floating = x.is_floating_point()
    values = x.detach().float().cpu()
    known = values.isfinite()
    finite = bool(known.all())
    clean = values[known] if not finite else values.flatten()
    if not len(clean):
        clean = torch.full((1,), math.nan)
    by_channel = torch.where(known, values, 0.0) if not finite else values
    by_channel = by_channel.transpose(0, 1).flatten(1) if values.ndim > 1 else by_channel[None]
    stds = by_channel.std(dim=1, correction=0)
    return Inputs(
        samples=len(values),
        low=float(clean.min()),
        high=float(clean.max()),
        mean=float(clean.mean()),
        std=float(clean.std(correction=0)),
        finite=finite,
        floating=floating,
        channel_stds=(float(stds.min()), float(stds.max())),
        constant=int((stds == 0).sum()),
    )


@torch.no_grad()
def outputs_of(logits: Tensor) -> Outputs:
    """Of what a network answers, (N, K): the very values that the loss takes."""
    rows = logits.detach().float().cpu()
    shares = rows.softmax(dim=1) if rows.shape[1] > 1 else torch.cat([rows, -rows], dim=1).sigmoid()
    return Outputs(
        samples=len(rows),
        width=rows.shape[1],
        low=float(rows.min()),
        high=float(rows.max()),
        row_sum_error=float((rows.sum(dim=1) - 1).abs().max()),
        column_sum_error=float((rows.sum(dim=0) - 1).abs().max()),
        spread=float(rows.std(dim=0, correction=0).mean()),
        entropy=float(torch.special.entr(shares).sum(dim=1).mean()),
        histogram=_histogram(rows),
    )


def _histogram(values: Tensor) -> tuple[int, ...]:
    """Counts in BINS equal parts; nothing where the values are not all numbers."""
    if not values.isfinite().all():
        return ()
    return tuple(map(int, torch.histc(values, BINS).tolist()))


def recalls_of(guess: Tensor, truth: Tensor, classes: int) -> tuple[float, ...]:
    """The share of each class's images that were recognised; NaN where there is none. int64 (N,) both."""
    right = torch.bincount(truth[guess == truth], minlength=classes).double()
    every = torch.bincount(truth, minlength=classes).double()
    return tuple(round(share, 4) for share in (right / every).tolist())
