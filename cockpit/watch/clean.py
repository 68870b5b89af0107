"""The clean probe of a watched loop: some training examples, passed through the network as it stands."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Literal

import numpy as np
import torch

from cockpit.engine.evaluation import DROPOUTS
from cockpit.engine.units import unit_rows, watch_activity
from cockpit.nets.statistics import batch_norms
from cockpit.runs.tables import LAYERS, Rows, blank
from cockpit.watch.hooks import Hooks
from cockpit.watch.passes import PROBE, Pass, logits_in, untouched
from cockpit.watch.scores import Answered
from cockpit.watch.settings import Settings

Mode = Literal["eval", "train", "fresh"]


class Clean:
    """Passes of our own through the user's network."""

    def __init__(self, settings: Settings, hooks: Hooks) -> None:
        self._settings = settings
        self._hooks = hooks
        self.passes = list(settings.probe)
        self.names = [layer.name for layer, _ in settings.layers]

    @property
    def x(self) -> torch.Tensor | None:
        """The inputs, as far as they have one shape."""
        every = [one.x for one in self.passes if one.x is not None]
        alike = [x for x in every if x.shape[1:] == every[0].shape[1:]]
        return torch.cat(alike) if alike else None

    @property
    def noisy(self) -> bool:
        """Whether the mode of the network makes a difference."""
        net = self._settings.net
        return bool(batch_norms(net)) or any(isinstance(part, DROPOUTS) and part.p > 0 for part in net.modules())

    def collect(self, targets: torch.Tensor | None) -> None:
        """The first steps' inputs with their targets become the probe, where none was given."""
        calls, self._hooks.calls = self._hooks.calls, []
        if targets is None or not calls or (x := calls[-1].x) is None or not x.ndim or len(x) != len(targets):
            return
        left = PROBE - sum(len(one.x) for one in self.passes if one.x is not None)
        whole = Pass(calls[-1].args, calls[-1].kwargs, targets.detach().clone())
        self.passes.append(whole.taken(torch.arange(left)) if left < len(x) else whole)
        self._hooks.collecting = left > len(x)

    def look(self, mode: Mode, step: int) -> tuple[list[Answered], Rows]:
        """What the network answers to the probe, and the state of its units.

        `train`: as training sees it. `fresh`: batch norm looks at the batch, as its statistics know nothing yet.
        """
        net, answered = self._settings.net, []
        with self.inside(), watch_activity(net) as activity:
            net.train(mode == "train")
            for norm in batch_norms(net) if mode == "fresh" else ():
                norm.train()
            # What is compiled as a whole would not run the hooks.
            call = net.forward if getattr(net, "_compiled_call_impl", None) else net
            for one in self.passes:
                outputs = logits_in(call(*one.args, **one.kwargs))
                if outputs is not None and not outputs.is_complex():
                    answered.append((outputs.float(), one.targets))
        rows = unit_rows(net, activity, step) if self.names else blank(0, LAYERS)
        return answered, self.renumbered(rows)

    def inside(self) -> ExitStack:
        """Within it, nothing that the network does is heard or kept."""
        stack, kept = ExitStack(), self._hooks.own
        self._hooks.own = True
        stack.callback(setattr, self._hooks, "own", kept)
        stack.enter_context(untouched(self._settings.net, self._settings.device))
        if self._hooks.autocast is not None:
            kind, dtype = self._hooks.autocast
            stack.enter_context(torch.autocast(kind, dtype))
        return stack

    def renumbered(self, rows: Rows) -> Rows:
        """Rows of the layers that the run began with: a loop may freeze and thaw weights on its way."""
        now = [layer.name for layer, _ in self._settings.layers]
        if now == self.names or not self.names:
            return rows
        kept = [(row, self.names.index(name)) for row, name in zip(rows, now, strict=True) if name in self.names]
        fresh = np.array([row for row, _ in kept], LAYERS) if kept else np.empty(0, LAYERS)
        for row, (_, layer) in zip(fresh, kept, strict=True):
            row["layer"] = layer
        return fresh[np.argsort(fresh["layer"])]
