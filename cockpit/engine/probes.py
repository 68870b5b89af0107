"""Measurements of the network: gradient norms, update ratios, weight spread, dead units. Each is taken once, on the device.

Gradients and updates are measured on the first steps and then every few; dead units during evaluations, by hooks that are
only there while it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cockpit.runs.events import Layer

EARLY = 20
"""Every one of the first steps is measured: illnesses of the start show there."""
ANCHORS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
RECTIFIERS = (nn.ReLU, nn.ReLU6)


def layers_of(model: nn.Module) -> list[tuple[Layer, nn.Parameter]]:
    """The trained weights of two or more dimensions, in the order of the network; tokens of one row are left out."""
    found = []
    for name, weight in model.named_parameters():
        if weight.requires_grad and weight.ndim > 1 and weight.shape[0] > 1:
            owner, _, leaf = name.rpartition(".")
            label = owner if leaf == "weight" else name
            kind = type(model.get_submodule(owner)).__name__
            found.append((Layer(name=label, kind=kind, shape=tuple(weight.shape), params=weight.numel()), weight))
    return found


@dataclass
class LayerProbe:
    """Norms per layer around an update. Nothing here waits for the device."""

    weights: list[nn.Parameter]
    every: int
    _before: list[Tensor] | None = None
    _grads: Tensor | None = None

    def due(self, step: int) -> bool:
        """Whether the step (from 1) is measured."""
        return step <= EARLY or step % self.every == 0

    @torch.no_grad()
    def before(self, grads: list[Tensor]) -> Tensor:
        """After the backward pass: remember the weights, measure their gradients. Returns the total norm of `grads`."""
        own = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in self.weights]
        self._grads = torch.stack(torch._foreach_norm(own)) if own else None
        self._before = [weight.detach().clone() for weight in self.weights]
        total: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        return total

    @torch.no_grad()
    def after(self) -> Tensor | None:
        """After the update: (layers, 4) of gradient norm, weight norm, weight std and update ratio."""
        if self._before is None or self._grads is None:
            return None
        norms = torch.stack(torch._foreach_norm(self._before))
        spread = torch.stack([weight.std() for weight in self._before])
        change = torch.stack(torch._foreach_norm(torch._foreach_sub(list(self.weights), self._before)))
        measured = torch.stack([self._grads, norms, spread, change / norms.clamp(min=1e-12)], dim=1).float()
        self._before = self._grads = None
        return measured


class Activity:
    """Which ReLU units were ever active, by the layer that feeds them."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], Tensor] = {}
        self._last = ""

    def anchor(self, name: str) -> None:
        """A layer with weights ran."""
        self._last = name

    def rectified(self, name: str, output: Tensor) -> None:
        """A ReLU ran: (B, C, H, W) counts by channel, (B, ..., F) by feature."""
        positive = output > 0
        others = (0, 2, 3) if output.ndim == 4 else tuple(range(output.ndim - 1))
        active = positive.any(dim=0) if others == (0,) else positive.amax(dim=others)
        key = (self._last, name)
        self._seen[key] = active if key not in self._seen else self._seen[key] | active

    def dead(self) -> dict[str, float]:
        """Layer -> the share of its units that never were active; the worst where it feeds several ReLUs."""
        shares: dict[str, float] = {}
        for (layer, _), active in self._seen.items():
            shares[layer] = max(shares.get(layer, 0.0), 1 - float(active.float().mean()))
        return shares


@contextmanager
def watch_activity(model: nn.Module) -> Iterator[Activity]:
    """Hang hooks on the network for the time of an evaluation."""
    activity = Activity()
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, ANCHORS):
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: activity.anchor(name)))
        elif isinstance(module, RECTIFIERS):
            handles.append(module.register_forward_hook(lambda *args, name=name: activity.rectified(name, args[2])))
    try:
        yield activity
    finally:
        for handle in handles:
            handle.remove()
