"""Which units of a network still work: looked at by hooks that exist only while a look lasts."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cockpit.engine.probes import layers_of
from cockpit.runs.tables import LAYERS, Rows, blank

ANCHORS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
RECTIFIERS = (nn.ReLU, nn.ReLU6)
BOUNDED = (nn.Sigmoid, nn.Tanh)
STUCK = 0.05
"""A unit is stuck where its slope is below this share of the largest slope ..."""
OFTEN = 0.95
"""... on more than this share of the images."""

Seen = tuple[dict[tuple[str, str], Tensor], dict[tuple[str, str], tuple[Tensor, int]], str]
"""What a look saw: active units, stuck ones with their number of looks, the last layer."""


class Activity:
    """Which ReLU units were ever active and which bounded units are stuck, by the layer that feeds them."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], Tensor] = {}
        self._stuck: dict[tuple[str, str], tuple[Tensor, int]] = {}
        self._last = ""

    def anchor(self, name: str) -> None:
        """A layer with weights ran."""
        self._last = name

    def rectified(self, name: str, output: Tensor) -> None:
        """A ReLU ran: (B, C, H, W) counts by channel, (B, ..., F) by feature."""
        positive = output > 0
        others = _others(output)
        active = positive.any(dim=0) if others == (0,) else positive.amax(dim=others)
        key = (self._last, name)
        self._active[key] = active if key not in self._active else self._active[key] | active

    def bounded(self, name: str, output: Tensor, *, tanh: bool) -> None:
        """A sigmoid or tanh ran. One that gates whole maps, (B, C, 1, 1), is meant to be stuck at times."""
        if output.is_complex() or (output.ndim == 4 and output.shape[2:] == (1, 1)):
            return
        slope = 1 - output.square() if tanh else 4 * output * (1 - output)
        others = _others(output)
        stuck = (slope < STUCK).sum(dim=others)
        looks = output.numel() // len(stuck)
        before, count = self._stuck.get((self._last, name), (0, 0))
        self._stuck[self._last, name] = (stuck + before, looks + count)

    def seen(self) -> Seen:
        """All of it, on the CPU, for other processes to join."""
        stuck = {key: (count.cpu(), looks) for key, (count, looks) in self._stuck.items()}
        return {key: active.cpu() for key, active in self._active.items()}, stuck, self._last

    def join(self, parts: Iterable[Seen]) -> None:
        """Be what several looks saw together."""
        self._active, self._stuck = {}, {}
        for active, stuck, last in parts:
            self._last = last or self._last
            for key, unit in active.items():
                self._active[key] = unit if key not in self._active else self._active[key] | unit
            for key, (count, looks) in stuck.items():
                before, others = self._stuck.get(key, (0, 0))
                self._stuck[key] = (count + before, looks + others)

    def dead(self) -> dict[str, float]:
        """Layer -> the share of its units that never were active; the worst where it feeds several ReLUs."""
        return _worst({key: 1 - active.float().mean() for key, active in self._active.items()})

    def saturated(self) -> dict[str, float]:
        """Layer -> the share of its units that are stuck. What the last layer feeds is an output and may be sure."""
        shares = {key: (stuck > OFTEN * count).float().mean() for key, (stuck, count) in self._stuck.items()}
        return {layer: share for layer, share in _worst(shares).items() if layer != self._last}


def _others(output: Tensor) -> tuple[int, ...]:
    return (0, 2, 3) if output.ndim == 4 else tuple(range(output.ndim - 1))


def _worst(shares: Mapping[tuple[str, str], Tensor]) -> dict[str, float]:
    found: dict[str, float] = {}
    values = torch.stack([*shares.values()]).tolist() if shares else []  # one wait for the device, not one a layer
    for (layer, _), share in zip(shares, values, strict=True):
        found[layer] = max(found.get(layer, 0.0), share)
    return found


@contextmanager
def watch_activity(model: nn.Module) -> Iterator[Activity]:
    """Hang hooks on the network for the time of a look."""
    activity = Activity()
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, ANCHORS):
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: activity.anchor(name)))
        elif isinstance(module, RECTIFIERS):
            handles.append(module.register_forward_hook(lambda *args, name=name: activity.rectified(name, args[2])))
        elif isinstance(module, BOUNDED):
            tanh = isinstance(module, nn.Tanh)
            handles.append(
                module.register_forward_hook(lambda *args, name=name, tanh=tanh: activity.bounded(name, args[2], tanh=tanh))
            )
    try:
        yield activity
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def alike(weight: Tensor) -> Tensor:
    """Mean cosine between different rows of a weight (rows, ...), scalar: 1 where all rows are one, or all are zero.

    A complex number counts as its two parts.
    """
    rows = torch.view_as_real(weight.detach()) if weight.is_complex() else weight.detach()
    rows = rows.flatten(1).float()
    norms = rows.norm(dim=1, keepdim=True)
    mean = (rows / norms.clamp(min=1e-30)).mean(dim=0)
    count = len(rows)
    cosine = (mean.square().sum() * count - 1) / (count - 1)
    return torch.where(norms.max() > 0, cosine, torch.ones_like(cosine))


def _spread(weight: Tensor) -> Tensor:
    """The standard deviation, float scalar; of complex numbers, that of their distance from their mean."""
    return weight.std().float() if weight.is_complex() else weight.float().std()


def unit_rows(model: nn.Module, activity: Activity, step: int) -> Rows:
    """One row a layer, with what only such a look tells; the layers are those of `layers_of`."""
    layers = layers_of(model)
    dead, saturated = activity.dead(), activity.saturated()
    rows = blank(len(layers), LAYERS)
    if not layers:
        return rows
    rows["step"], rows["layer"] = step, range(len(layers))
    rows["weight_std"] = torch.stack([_spread(weight.detach()) for _, weight in layers]).cpu().numpy()
    rows["alike"] = torch.stack([alike(weight) for _, weight in layers]).cpu().numpy()
    for row, (layer, _) in zip(rows, layers, strict=True):
        row["dead"] = dead.get(layer.name, float("nan"))
        row["saturated"] = saturated.get(layer.name, float("nan"))
    return rows
