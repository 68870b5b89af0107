"""What is heard of a loop that is not ours: hooks on the optimizer, on the network's calls and on one weight.

Nothing here waits for the device, and nothing changes what the loop computes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from cockpit.engine.probes import LayerProbe
from cockpit.watch.passes import Pass
from cockpit.watch.settings import Settings


class Hooks:
    """Listens from `hang` to `remove`; `taken` starts a new row."""

    def __init__(self, settings: Settings, probe: LayerProbe, lost: Callable[[str, Exception], None]) -> None:
        self._settings = settings
        self._probe = probe
        self._lost = lost
        self._handles: list[Any] = []
        self.row = 0
        """Rows written."""
        self.stepped = False
        """The optimizer made an update since the last row."""
        self.ever_stepped = False
        self.norm: Tensor | None = None
        self.layers: Tensor | None = None
        self.stale: Tensor | None = None
        self.calls: list[Pass] = []
        """The last training passes, while they are collected."""
        self.collecting = not settings.probe
        self.own = False
        """A pass of the watcher's own is under way."""
        self.blind_training = False
        """A pass without gradients and in training mode, since the last row."""
        self.autocast: tuple[str, torch.dtype] | None = None
        """(device type, format) of the loop's last training pass, where it was under autocast."""
        self._fresh = True
        """No backward pass since the last update."""
        self._measured = False

    def hang(self) -> None:
        """Begin to listen."""
        optimizer, model = self._settings.optimizer, self._settings.model
        self._handles = [
            optimizer.register_step_pre_hook(self._before_update),
            optimizer.register_step_post_hook(self._after_update),
            model.register_forward_pre_hook(self._called, with_kwargs=True),
        ]
        trained = [w for w in self._probe.weights if id(w) in self._settings.optimized] or self._probe.weights
        if trained:
            last = trained[-1]
            self._no = torch.zeros((), dtype=torch.bool, device=last.device)
            hang: Any = last.register_hook
            self._handles.append(hang(lambda _: self._backward(last)))

    def remove(self) -> None:
        """Listen no more."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def taken(self) -> None:
        """A row was written."""
        self.row += 1
        self.stepped = self._measured = self.blind_training = False
        self.norm = self.layers = self.stale = None

    def standing(self) -> None:
        """Measure where no update has ever been made: the gradients as they are, and no change."""
        if self._probe.due(self.row + 1):
            self._measure()
            self.norm, self.layers = None, self._probe.after()

    def _before_update(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._measured or not self._probe.due(self.row + 1):
            return None
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if not callable(closure):
            self._measure()
            return None
        # The gradients come out of the closure: measure when it has run for the first time.

        def measured_closure() -> Any:
            loss = closure()
            if not self._measured:
                self._measure()
            return loss

        if "closure" in kwargs:
            return args, {**kwargs, "closure": measured_closure}
        return (args[0], measured_closure, *args[2:]), kwargs

    def _measure(self) -> None:
        self._measured = True
        weights = [weight for group in self._settings.optimizer.param_groups for weight in group["params"]]
        grads = [weight.grad for weight in weights if weight.grad is not None]
        try:
            self.norm = self._unscaled(self._probe.before(grads or [self._no.float()]))
        except Exception as error:
            self._lost("the gradients cannot be measured", error)

    def _unscaled(self, norms: Tensor) -> Tensor:
        """Fused optimizers are handed scaled gradients, and the scale beside them."""
        scale = getattr(self._settings.optimizer, "grad_scale", None)
        return norms / scale if isinstance(scale, Tensor) else norms

    def _after_update(self, *_: Any) -> None:
        if self._measured and self.layers is None:
            try:
                self.layers = self._probe.after()
                if self.layers is not None:
                    self.layers[:, 0] = self._unscaled(self.layers[:, 0])
            except Exception as error:
                self._lost("the updates cannot be measured", error)
        self.stepped = self.ever_stepped = self._fresh = True

    def _backward(self, weight: Tensor) -> None:
        """Called with the new gradient before it is added to the old one."""
        # With several, a gradient may rightly lie there until the turn of its optimizer.
        if self._fresh and not self._settings.several and self._probe.due(self.row + 1):
            self.stale = self._no if weight.grad is None else weight.grad.detach().any()
        self._fresh = False

    def _called(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.own or torch.compiler.is_compiling() or not module.training:
            return
        if not torch.is_grad_enabled():
            self.blind_training = True
        elif self.collecting:
            kind = self._settings.device.type
            self.autocast = (kind, torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else None
            self.calls.append(Pass(*tree_map_only(Tensor, lambda t: t.detach().clone(), (args, kwargs))))
