"""A guard before the optimizer."""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Gradients, Moment, Parts, Setback, Verdict

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from cockpit.travel import Again, Step

WINDOW = 100
"""Finite norms that make the median."""
FEW = 20
"""Fewer norms than this have no usual size."""
SAID = 3
"""Acts that are told one by one."""


class Watch:
    """What one step needs to know of those before it."""

    def __init__(self, settings: Guard, model: nn.Module) -> None:
        self._settings = settings
        self._buffers = list(model.buffers())
        self._kept: list[Tensor] = []
        """The running statistics before the step at hand; none before the first step that was made."""
        self._norms: deque[float] = deque(maxlen=WINDOW)
        self._streak = self._told = 0
        self._counts: Counter[str] = Counter()
        self._step, self._norm, self._scaled = 0, 0.0, False
        self.news: list[str] = []

    def grads(self, grads: Gradients, at: Moment) -> Gradients:
        """Look at the norm before any clipping, waiting for the device; a spike that is to be clipped is clipped here."""
        import torch

        norm = grads.norm if grads.norm is not None else torch.nn.utils.get_total_norm(grads.tensors)
        self._step, self._norm, self._scaled = at.clock.step + 1, float(norm.detach()), grads.scaled
        if self._settings.on_spike == "clip" and self._spikes():
            now = torch.nn.utils.get_total_norm(grads.tensors)  # another trick may have clipped it already
            torch._foreach_mul_(grads.tensors, (self._limit() / (now + 1e-6)).clamp(max=1.0))
        return grads._replace(norm=norm)

    def update(self, step: Step, optimizer: torch.optim.Optimizer) -> Step:
        """The step, unless its gradient is bad. Raises Setback, and FloatingPointError where the run is to end."""

        def wrapped(again: Again) -> None:
            if self._passes():
                step(again)
                self._keep()
            else:
                self._put_back()

        return wrapped

    def verdict(self, verdict: Verdict) -> Verdict:
        """Tell of the acts since the last evaluation that were not told."""
        if self._counts:
            counts = ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items()))
            self.news.append(f"since the last evaluation {counts}")
            self._counts.clear()
        return verdict

    def _passes(self) -> bool:
        """Whether the step may be made. A bad one is counted and told, and may lead back or end the run: see `update`."""
        finite = math.isfinite(self._norm)
        spikes, limit = self._spikes(), self._limit()
        if finite:
            self._norms.append(self._norm)
        if spikes:
            act, what = str(self._settings.on_spike), f"gradient norm {self._norm:.3g}, above {limit:.3g}"
        elif not finite and not self._scaled:
            act, what = self._settings.on_nonfinite, f"gradient norm {self._norm}"
        else:
            self._streak = 0
            return True
        if act == "stop":
            raise FloatingPointError(f"{what} at step {self._step:,}")
        self._tell(act, what)
        self._streak += act in ("skip", "clip")
        if act == "rollback":
            raise Setback(f"{what} at step {self._step:,}")
        if self._streak >= self._settings.patience:
            raise Setback(f"{self._streak} bad steps in a row, the last with {what}")
        return act in ("clip", "note")

    def _spikes(self) -> bool:
        return math.isfinite(self._norm) and self._norm > self._limit()

    def _limit(self) -> float:
        return self._settings.spike * statistics.median(self._norms) if len(self._norms) >= FEW else math.inf

    def _tell(self, act: str, what: str) -> None:
        done = {"skip": "skipped", "clip": "clipped", "note": "noted", "rollback": "led back"}[act]
        self._told += 1
        if self._told <= SAID:
            self.news.append(f"step {self._step:,} {done}: {what}")
        else:
            self._counts[f"{done} for {'a spike' if math.isfinite(self._norm) else 'a norm that is no number'}"] += 1

    def _keep(self) -> None:
        import torch

        if not self._kept:
            self._kept = [buffer.clone() for buffer in self._buffers]
        elif self._buffers:
            torch._foreach_copy_(self._kept, self._buffers)

    def _put_back(self) -> None:
        """The forward pass of a bad step has moved the running statistics of norm layers."""
        import torch

        if self._kept:
            torch._foreach_copy_(self._buffers, self._kept)

    def state_dict(self) -> dict[str, Any]:
        """The norms seen, and what was counted."""
        counts = dict(self._counts)
        return {"norms": list(self._norms), "streak": self._streak, "told": self._told, "counts": counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on watching from there."""
        self._norms = deque(state["norms"], maxlen=WINDOW)
        self._streak, self._told, self._counts = state["streak"], state["told"], Counter(state["counts"])
        self._kept = []


@card(
    "guard",
    family="regularisation",
    seams=("grads", "update", "verdict"),
    stage="clip",
    live=True,
    when="Single batches make the loss jump or turn it into NaN, and the run should outlive them.",
    beware="It reads the norm before every step, so a GPU waits once a step for the host. The loss of a skipped step "
    "is still recorded. With fp16, gradients that overflow are left to the loss scaler.",
    source="going back and skipping: Chowdhery et al. 2022, arXiv 2204.02311; a limit from recent norms: "
    "Seetharaman et al. 2020, arXiv 2007.14469",
)
class Guard(Toggle):
    """Look at each gradient before the optimizer does: skip it, clip it, or go back and pause.

    A skipped step leaves weights, momentum, averages and running statistics as they were. A spike is measured against the
    median norm of the last 100 steps, once there are 20.
    """

    on_nonfinite: Literal["skip", "stop", "rollback"] = knob(
        "skip", help="what to do when the gradient is no number; stop ends the run as failed"
    )
    spike: float = knob(10.0, above=1, high=1e6, help="times the median norm from which on a gradient is a spike")
    on_spike: Literal["clip", "skip", "rollback", "note"] = knob(
        "clip", help="what to do with a spike: clip scales it down to the limit, rollback goes to the last healthy checkpoint"
    )
    patience: int = knob(5, low=1, high=1000, help="bad steps in a row after which the run goes back and pauses")

    def plug(self, parts: Parts) -> Watch:
        """A memory of the norms."""
        return Watch(self, parts.model)
