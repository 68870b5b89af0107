"""Measurements around an update: gradient norms, weight norms, update ratios. Each is taken once, on the device.

They are taken on the first steps, then every few, later more rarely. What only a look at the clean probe tells: `units.py`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cockpit.engine.meter import Meter
from cockpit.runs.calendar import probe_gap
from cockpit.runs.events import Layer

EARLY = 20
"""Every one of the first steps is measured: illnesses of the start show there."""


def layers_of(model: nn.Module, optimized: Collection[int] | None = None) -> list[tuple[Layer, nn.Parameter]]:
    """The weights of two or more dimensions that ask for gradients, in the order of the network, less tokens of one row.

    `optimized`: ids of the weights in the hands of the optimizer; all, where nothing is said.
    """
    found = []
    for name, weight in model.named_parameters():
        if weight.requires_grad and weight.ndim > 1 and weight.shape[0] > 1:
            owner, _, leaf = name.rpartition(".")
            label = owner if leaf == "weight" else name
            kind = type(model.get_submodule(owner)).__name__
            trained = optimized is None or id(weight) in optimized
            layer = Layer(name=label, kind=kind, shape=tuple(weight.shape), params=weight.numel(), trained=trained)
            found.append((layer, weight))
    return found


@dataclass
class LayerProbe:
    """Norms per layer around an update. Nothing here waits for the device."""

    weights: list[nn.Parameter]
    every: int
    meter: Meter = field(default_factory=Meter)
    _before: list[Tensor] | None = None
    _grads: Tensor | None = None

    def due(self, step: int) -> bool:
        """Whether the step (from 1) is measured."""
        return step <= EARLY or step % probe_gap(self.every, step) == 0

    @torch.no_grad()
    def before(self, grads: list[Tensor]) -> Tensor:
        """After the backward pass: remember the weights, measure their gradients. Returns the total norm of `grads`."""
        self.meter.start()
        own = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in self.weights]
        self._grads = torch.stack(torch._foreach_norm(own)) if own else None
        self._before = [weight.detach().clone() for weight in self.weights]
        total: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        self.meter.stop()
        return total

    @torch.no_grad()
    def after(self) -> Tensor | None:
        """After the update: (layers, 3) of gradient norm, weight norm and update ratio."""
        if self._before is None or self._grads is None:
            return None
        self.meter.start()
        norms = torch.stack(torch._foreach_norm(self._before))
        change = torch.stack(torch._foreach_norm(torch._foreach_sub(list(self.weights), self._before)))
        measured = torch.stack([self._grads, norms, change / norms.clamp(min=1e-12)], dim=1).float()
        self._before = self._grads = None
        self.meter.stop()
        return measured
