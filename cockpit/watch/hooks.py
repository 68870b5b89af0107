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
from cockpit.watch.ear import Ear
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
        self._held: Tensor | None = None
        """bool, scalar: every backward pass since the last update met a gradient that was there before."""
        self._no = torch.zeros((), dtype=torch.bool, device=settings.device)
        self._measured = False
        self._deaf = False
        """Updates cannot be heard."""

    def hang(self) -> None:
        """Begin to listen, to what can be heard."""
        optimizer, model = self._settings.optimizer, self._settings.model
        self._hang("updates", lambda: optimizer.register_step_pre_hook(Ear(self._before_update)))
        self._hang("updates", lambda: optimizer.register_step_post_hook(Ear(self._after_update)))
        self._deaf = len(self._handles) < 2
        self._hang("calls of the network", lambda: model.register_forward_pre_hook(Ear(self._called), with_kwargs=True))
        every = [weight for group in optimizer.param_groups for weight in group["params"]]
        mine = [weight for weight in every if weight.requires_grad and weight.is_leaf]
        held = {id(weight) for weight in mine}
        trained = [weight for weight in self._probe.weights if id(weight) in held] or mine
        if trained:
            last, hang = trained[-1], getattr(trained[-1], "register_hook")  # noqa: B009  (it has no types)
            self._hang("backward passes", lambda: hang(Ear(lambda _: self._backward(last))))

    def _hang(self, what: str, hang: Callable[[], Any]) -> None:
        try:
            self._handles.append(hang())
        except Exception as error:
            self._lost(f"{what} cannot be heard", error)

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
        if not self._deaf and self._probe.due(self.row + 1):
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
        self.stale, self._held = self._held if self._probe.due(self.row + 1) else None, None
        self.stepped = self.ever_stepped = True

    def _backward(self, weight: Tensor) -> None:
        """Called with the new gradient before it is added to the old one.

        An update is free of what is old if any pass before it found the weight clean: the loss of a generator passes through
        its discriminator, whose gradients are cleared only after that.
        """
        # With several, a gradient may rightly lie there until the turn of its optimizer.
        if self._settings.several or self._held is self._no:
            pass
        elif weight.grad is None:
            self._held = self._no
        elif self._probe.due(self.row + 1):
            try:
                old = weight.grad.detach().any()
                self._held = old if self._held is None else self._held & old
            except Exception as error:  # a sparse one
                self._lost("it cannot be told whether gradients are left over", error)

    def _called(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.own or torch.compiler.is_compiling() or not module.training or module is not self._settings.model:
            return
        if not torch.is_grad_enabled():
            self.blind_training = True
        elif self.collecting:
            kind = self._settings.device.type
            self.autocast = (kind, torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else None
            try:
                self.calls.append(Pass(*tree_map_only(Tensor, lambda t: t.detach().clone(), (args, kwargs))))
            except Exception as error:
                self._lost("the inputs of the network cannot be kept", error)
