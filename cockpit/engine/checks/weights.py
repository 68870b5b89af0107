"""Weights and activations of the network as they stand: spread, histogram, dead rows, and how the signal fares on its way."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cockpit.engine.checks.bare import clean_batch, twin
from cockpit.engine.checks.found import Found
from cockpit.engine.training import Training
from cockpit.nets.places import WEIGHTED

BINS = 40
GONE, BURST = 1e-3, 1e3
"""A layer whose output is so many times smaller or larger than the first one's has lost the signal."""


@dataclass(frozen=True)
class Layer:
    """One layer with weights."""

    name: str
    mean: float
    std: float
    dead_rows: int
    """Rows of the weight that are zero."""
    output_mean: float
    output_std: float
    counts: tuple[int, ...]
    least: float
    largest: float


def weights(job: Training, *, images: int = 256) -> Found:
    """Look at every layer, and at what it puts out for one clean batch."""
    x, _ = clean_batch(job, images)
    layers = measured(job.model, x)
    first, last = layers[0].output_std, layers[-1].output_std
    ratio = last / first if first else 0.0
    same = [layer.name for layer in layers if layer.std < 1e-9]
    ok = GONE < ratio < BURST and not same
    if same:
        headline = f"every weight of {same[0]} is the same: its units cannot learn different things"
    elif ratio <= GONE:
        headline = f"the signal dies on its way: std {first:.2g} after {layers[0].name}, {last:.2g} after {layers[-1].name}"
    elif ratio >= BURST:
        headline = f"the signal grows on its way: std {first:.2g} after {layers[0].name}, {last:.2g} after {layers[-1].name}"
    else:
        headline = f"{len(layers)} layers; the signal's std goes from {first:.2g} to {last:.2g}"
    lines = [f"{'':<24} {'weight std':>10} {'mean':>9} {'dead rows':>9} {'output std':>10} {'mean':>9}"]
    lines += [
        f"{each.name[:24]:<24} {each.std:10.4f} {each.mean:9.4f} {each.dead_rows:9d} "
        f"{each.output_std:10.4f} {each.output_mean:9.4f}"
        for each in layers
    ]
    histograms = {each.name: (each.least, each.largest, each.counts) for each in layers}
    return Found("weights", ok, headline, tuple(lines), {"signal_ratio": ratio}, histograms=histograms)


@torch.no_grad()
def measured(model: nn.Module, x: Tensor) -> list[Layer]:
    """Every layer with weights, in the order they first run; the network is not touched."""
    copy = twin(model)
    found: dict[str, Layer] = {}
    for module in copy.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()  # at the start its running statistics know nothing yet

    def look(module: nn.Module, output: Tensor, name: str) -> None:
        if name not in found and isinstance(module.weight, Tensor):
            found[name] = _layer(name, module.weight, output)

    handles = [
        module.register_forward_hook(lambda module, _, output, name=name: look(module, output, name))
        for name, module in copy.named_modules()
        if isinstance(module, WEIGHTED)
    ]
    with torch.random.fork_rng():
        copy(x)
    for handle in handles:
        handle.remove()
    return list(found.values())


def _layer(name: str, weight: Tensor, output: Tensor) -> Layer:
    flat = weight.detach().float().flatten()
    least, largest = float(flat.min()), float(flat.max())
    counts = torch.histc(flat.cpu(), BINS, least, largest)
    rows = weight.detach().flatten(1).norm(dim=1)
    return Layer(
        name=name,
        mean=float(flat.mean()),
        std=float(flat.std()),
        dead_rows=int((rows < 1e-6).sum()),
        output_mean=float(output.float().mean()),
        output_std=float(output.float().std()),
        counts=tuple(int(count) for count in counts),
        least=least,
        largest=largest,
    )
