"""What the callbacks of a library do not hand over: the outputs of the network, overheard at its calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cockpit.watch.ear import Ear
from cockpit.watch.passes import logits_in
from cockpit.watch.run import Watched

ROWS = 100_000
"""Outputs kept for one evaluation."""
LABELS = ("labels", "label", "targets", "target")


class Overheard:
    """A hook on the network's calls; passes of the watcher's own are left out."""

    def __init__(self, net: nn.Module, run: Watched) -> None:
        self._run = run
        self._net = net
        self._handle: Any = None
        try:
            self._handle = net.register_forward_hook(Ear(self._heard), with_kwargs=True)
        except Exception as error:
            run.lost("the outputs of the network cannot be heard", error)
        self.loss: Tensor | None = None
        """That the network itself returned, in training."""
        self.outputs: Tensor | None = None
        """Of the last training pass, (B, K) or (B,)."""
        self.targets: Tensor | None = None
        """Of the same, where the network is handed its labels."""
        self._answer: tuple[Tensor | None, Tensor | None] = (None, None)
        self._kept: list[tuple[Tensor, Tensor]] = []

    def remove(self) -> None:
        """Hear no more."""
        if self._handle is not None:
            self._handle.remove()

    def validated(self, batch: Any = None) -> None:
        """A validation batch is over: keep its outputs with its targets."""
        outputs, targets = self._answer
        targets = targets_in(batch) if targets is None else targets
        self._answer = (None, None)
        if outputs is not None and targets is not None and len(outputs) == len(targets):
            kept = sum(len(some) for some, _ in self._kept)
            self._kept += [(outputs, targets)] if kept < ROWS else []

    def validation(self) -> tuple[Tensor | None, Tensor | None]:
        """Outputs and targets of the validation that is over; they are handed out once."""
        kept, self._kept = self._kept, []
        if not kept:
            return None, None
        return torch.cat([outputs for outputs, _ in kept]), torch.cat([targets for _, targets in kept])

    def _heard(self, net: nn.Module, args: Any, kwargs: dict[str, Any], answer: Any) -> None:
        if self._run.looking or torch.compiler.is_compiling() or net is not self._net:
            return
        outputs = logits_in(answer)
        # One row a token or pixel would fill the memory.
        outputs = None if outputs is None or outputs.ndim > 2 else outputs.detach()
        labels = targets_in(kwargs)
        if torch.is_grad_enabled():
            loss = answer.get("loss") if isinstance(answer, Mapping) else getattr(answer, "loss", None)
            self.loss = loss.detach() if isinstance(loss, Tensor) else None
            self.outputs, self.targets = outputs, labels
            return
        self._answer = (outputs, labels)
        if labels is not None:
            self.validated()


def targets_in(batch: Any) -> Tensor | None:
    """The targets of a batch: under one of the usual names, or second of two."""
    found = None
    if isinstance(batch, Mapping):
        found = next((batch[name] for name in LABELS if name in batch), None)
    elif isinstance(batch, (tuple, list)) and len(batch) == 2:
        found = batch[1]
    return found.detach() if isinstance(found, Tensor) else None
