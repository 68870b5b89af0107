"""Passes of the watcher's own through the user's network: nothing of the training may notice them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

PROBE = 512
"""Examples of the clean probe."""
PART = 256
"""Examples of one pass."""


@dataclass(frozen=True)
class Pass:
    """One call of the network and what it should answer."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    targets: Tensor | None = None

    @property
    def x(self) -> Tensor | None:
        """The first tensor that goes in."""
        return next((each for each in (*self.args, *self.kwargs.values()) if isinstance(each, Tensor)), None)

    def taken(self, places: Tensor) -> Pass:
        """Some of its examples."""
        size = len(self.x) if self.x is not None else 0

        def pick(tensor: Tensor) -> Tensor:
            return tensor[places.to(tensor.device)] if tensor.ndim and len(tensor) == size else tensor

        args, kwargs = tree_map_only(Tensor, pick, (self.args, self.kwargs))
        return Pass(args, kwargs, None if self.targets is None else pick(self.targets))


def passes_of(batch: Any, device: torch.device) -> tuple[Pass, ...]:
    """(inputs, targets), at most PROBE of them spread evenly, in parts. Inputs: a tensor, a tuple of them, or a mapping.

    Raises ValueError.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not isinstance(batch[1], Tensor):
        raise ValueError("watch: probe must be (inputs, targets), some training examples as the network takes them")
    whole = one_pass(batch[0], batch[1], device)
    if whole.x is None or not len(whole.x) or len(whole.x) != len(batch[1]):
        raise ValueError("watch: probe must have one target for each of its inputs")
    count = min(PROBE, len(whole.x))
    places = torch.linspace(0, len(whole.x) - 1, count, dtype=torch.float64).round().long()
    count -= count % PART == 1 and count > 1  # batch norm can do nothing with a single example
    return tuple(whole.taken(places[start : min(start + PART, count)]) for start in range(0, count, PART))


def one_pass(inputs: Any, targets: Tensor | None, device: torch.device) -> Pass:
    """A batch as a loader gives it, on the device."""
    moved, truth = tree_map_only(Tensor, lambda t: t.detach().to(device), (inputs, targets))
    if isinstance(moved, Mapping):
        return Pass((), dict(moved), truth)
    return Pass(tuple(moved) if isinstance(moved, (tuple, list)) else (moved,), {}, truth)


def logits_in(answer: Any) -> Tensor | None:
    """The outputs in what a network returns: a tensor, an object or mapping with `logits`, or the first tensor of a tuple."""
    if isinstance(answer, Tensor):
        return answer
    found = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if found is None and isinstance(answer, (tuple, list)):
        found = next((each for each in answer if isinstance(each, Tensor) and each.ndim), None)
    return found if isinstance(found, Tensor) else None


@contextmanager
def untouched(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Modes, buffers and random numbers are afterwards as they were; no gradient is kept."""
    modes = [(module, module.training) for module in net.modules()]
    kept = [(module, name, value) for module in net.modules() for name, value in module.named_buffers(recurse=False)]
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        try:
            for module, name, value in kept:
                setattr(module, name, value.clone())
            yield
        finally:
            for module, name, value in kept:
                setattr(module, name, value)
            for module, mode in modes:
                module.training = mode
