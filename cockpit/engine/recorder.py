"""Keeps what each step leaves on the device, and fetches it in blocks."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cockpit.engine.fetch import Fetch
from cockpit.engine.meter import Spent
from cockpit.runs.tables import LAYERS, STEPS, Rows, blank

EVERY = 0.2
"""Seconds between two fetches, however many steps that is: no screen draws more often, and each fetch costs some ..."""
MOST = 1 << 21
"""... unless the logits that wait on the device are more numbers than this: 8 MB."""


class Left(NamedTuple):
    """What one step leaves behind. Tensors stay on the device."""

    step: int
    lr: float
    loss: Tensor
    logits: Tensor
    target: Tensor
    """int64 (B,), or float (B, K) where the targets are mixed: then accuracy is unknown."""
    norm: Tensor | None
    layers: Tensor | None
    """(layers, 3), see LayerProbe.after."""
    spent: Spent
    """What measuring it cost."""
    stale: Tensor | None = None
    """bool, scalar: a gradient was left over from the step before."""
    held: bool = False
    """A trick held the step back: no weight was touched."""
    accuracy: Tensor | None = None
    """Over the images of all processes; None where the logits and targets are all there are."""


class _Pending(NamedTuple):
    steps: list[int]
    lrs: list[float]
    times: list[float]
    speed: float
    scalars: Fetch
    """(n, 4): loss, accuracy, gradient norm, stale."""
    spent: list[Spent]
    held: list[bool]
    sampled: list[int]
    layers: Fetch | None
    """(samples, layers, 3)"""


@dataclass
class Recorder:
    """Call `step` after each step; whole rows come out of `deliver(step rows, layer rows)` a little later."""

    deliver: Callable[[Rows, Rows], None]
    seconds: float = 0.0
    """Training time so far, pauses left out."""
    defers: bool = False
    """Keep the error of a lost run for `settle`: with several processes it is no moment to leave the others."""
    trouble: FloatingPointError | None = None
    _kept: list[Left] = field(default_factory=list)
    _times: list[float] = field(default_factory=list)
    _under_way: deque[_Pending] = field(default_factory=deque)
    _mark: float = field(default_factory=time.perf_counter)
    _tick: float = field(default_factory=time.perf_counter)

    def step(self, left: Left) -> None:
        """Take one step in; cheap."""
        now = time.perf_counter()
        self.seconds += now - self._tick
        self._tick = now
        self._kept.append(left)
        self._times.append(self.seconds)
        if now - self._mark > EVERY or len(self._kept) * left.logits.numel() > MOST:
            self._send()
            self.drain(wait=False)

    def restart_clock(self) -> None:
        """Leave out the time since the last step: an evaluation, a checkpoint or a pause."""
        self._mark += time.perf_counter() - self._tick
        self._tick = time.perf_counter()

    def flush(self) -> None:
        """Deliver everything, waiting for the device."""
        self._send()
        self.drain(wait=True)

    def drain(self, *, wait: bool) -> None:
        """Deliver the blocks that have arrived."""
        while self._under_way and (wait or self._ready(self._under_way[0])):
            pending = self._under_way.popleft()
            try:
                self.deliver(_step_rows(pending), _layer_rows(pending))
            except FloatingPointError as error:
                if not self.defers:
                    raise
                self.trouble = self.trouble or error

    def settle(self) -> None:
        """Raise the error that was kept."""
        trouble, self.trouble = self.trouble, None
        if trouble:
            raise trouble

    @staticmethod
    def _ready(pending: _Pending) -> bool:
        return pending.scalars.ready and (pending.layers is None or pending.layers.ready)

    def _send(self) -> None:
        if not self._kept:
            return
        now = time.perf_counter()
        kept, self._kept = self._kept, []
        times, self._times = self._times, []
        sampled = [(left.step, left.layers) for left in kept if left.layers is not None]
        self._under_way.append(
            _Pending(
                steps=[left.step for left in kept],
                lrs=[left.lr for left in kept],
                times=times,
                speed=len(kept) / max(now - self._mark, 1e-9),
                scalars=Fetch.start(_scalars(kept)),
                spent=[left.spent for left in kept],
                held=[left.held for left in kept],
                sampled=[step for step, _ in sampled],
                layers=Fetch.start(torch.stack([layers for _, layers in sampled])) if sampled else None,
            )
        )
        self._mark = now


def _scalars(kept: list[Left]) -> Tensor:
    losses = torch.stack([left.loss for left in kept]).float()
    nan = torch.full((), torch.nan, device=losses.device)
    norms, stale = (_known([getattr(left, name) for left in kept], nan) for name in ("norm", "stale"))
    return torch.stack([losses, _accuracies(kept, nan), norms, stale], dim=1)


def _known(values: list[Tensor | None], nan: Tensor) -> Tensor:
    """float (n,), NaN where nothing was measured."""
    if all(value is None for value in values):
        return nan.expand(len(values))
    return torch.stack([nan if value is None else value.float() for value in values])


def _accuracies(kept: list[Left], nan: Tensor) -> Tensor:
    """One argmax for the whole block where its batches have one shape: cheaper than one a step."""
    known = [left.accuracy for left in kept if left.accuracy is not None]
    if len(known) == len(kept):
        return torch.stack(known)
    if any(left.target.is_floating_point() for left in kept) or len({len(left.logits) for left in kept}) > 1:
        return torch.stack(
            [nan if left.target.is_floating_point() else (left.logits.argmax(1) == left.target).float().mean() for left in kept]
        )
    guesses = torch.stack([left.logits for left in kept]).argmax(-1)
    return (guesses == torch.stack([left.target for left in kept])).float().mean(1)


def _step_rows(pending: _Pending) -> Rows:
    scalars = pending.scalars.numpy()
    rows = blank(len(pending.steps), STEPS)
    rows["step"], rows["time"], rows["lr"], rows["speed"] = pending.steps, pending.times, pending.lrs, pending.speed
    rows["loss"], rows["accuracy"], rows["grad_norm"], rows["stale"] = scalars.T
    rows["held"] = pending.held
    rows["probing"] = [spent.seconds for spent in pending.spent]
    if pending.layers is not None:
        at = np.searchsorted(rows["step"], pending.sampled)
        rows["update_ratio"][at] = np.median(pending.layers.numpy()[:, :, 2], axis=1)
    return rows


def _layer_rows(pending: _Pending) -> Rows:
    if pending.layers is None:
        return np.empty(0, LAYERS)
    measured = pending.layers.numpy()
    samples, layers, _ = measured.shape
    rows = blank((samples, layers), LAYERS)
    rows["step"], rows["layer"] = np.array(pending.sampled)[:, None], np.arange(layers)
    for column, name in enumerate(("grad_norm", "weight_norm", "update_ratio")):
        rows[name] = measured[:, :, column]
    return rows.ravel()
