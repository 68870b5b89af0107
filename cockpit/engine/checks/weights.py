"""Weights and activations of the network as they stand: spread, histogram, dead rows, and how the signal fares on its way."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cockpit.engine.checks.bare import clean_batch, own_draws, twin
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

    @property
    def same(self) -> bool:
        """Whether several weights are all of one value."""
        return self.least == self.largest and sum(self.counts) > 1


def weights(job: Training, *, images: int = 256) -> Found:
    """Look at every layer, and at what it puts out for one clean batch."""
    broken = [name for name, weight in job.model.named_parameters() if not weight.isfinite().all()]
    if broken:
        return Found("weights", False, f"{broken[0]} holds values that are not finite")
    x, _ = clean_batch(job, images)
    with own_draws(job):
        layers = measured(job.model, x)
    if not layers:
        return Found("weights", True, "not measured: this network has no linear and no convolution layer")
    inner = layers[:-1] if layers[-1].same else layers  # a head may start at 0: its classes tell its units apart
    first, last = (inner or layers)[0], (inner or layers)[-1]
    ratio = last.output_std / first.output_std if first.output_std else float(first is last)
    same = [layer.name for layer in inner if layer.same]
    ok = GONE < ratio < BURST and not same
    way = f"std {first.output_std:.2g} after {first.name}, {last.output_std:.2g} after {last.name}"
    if same:
        headline = f"every weight of {same[0]} is the same: its units cannot learn different things"
    elif ratio <= GONE:
        headline = f"the signal dies on its way: {way}"
    elif ratio >= BURST:
        headline = f"the signal grows on its way: {way}"
    else:
        headline = f"{len(layers)} layers; the signal's std goes from {first.output_std:.2g} to {last.output_std:.2g}"
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
        std=float(flat.std(correction=min(1, len(flat) - 1))),
        dead_rows=int((rows < 1e-6).sum()),
        output_mean=float(output.float().mean()),
        output_std=float(output.float().std(correction=min(1, output.numel() - 1))),
        counts=tuple(int(count) for count in counts),
        least=least,
        largest=largest,
    )
