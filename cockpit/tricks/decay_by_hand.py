"""Weight decay written out, in the place of the optimizer's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Gradients, Moment, Parts

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cockpit.travel import Again, Step


class ByHand:
    """Knows the optimizer, whose weights it shrinks."""

    def __init__(self, settings: DecayByHand) -> None:
        self._settings = settings
        self._optimizer: torch.optim.Optimizer | None = None

    def _groups(self, *, shrunk: bool) -> list[dict[str, Any]]:
        """The groups as they are now, for a loaded state brings new ones; `shrunk`: without those of a decay of their own."""
        groups = self._optimizer.param_groups if self._optimizer else []
        return [group for group in groups if not shrunk or "weight_decay" not in group.get("pinned", ())]

    def grads(self, gradients: Gradients, at: Moment) -> Gradients:
        """In the loss form, add lambda w to each gradient: what lambda / 2 w squared in the loss would have added."""
        import torch

        if self._settings.form != "loss":
            return gradients
        everyone = [weight for group in self._groups(shrunk=False) for weight in _moved(group)]
        mine = {id(weight) for group in self._groups(shrunk=True) for weight in _moved(group)}
        with torch.no_grad():
            for weight, tensor in zip(everyone, gradients.tensors, strict=True):
                if id(weight) in mine:
                    tensor.add_(weight, alpha=self._settings.lam)
        norm = None if gradients.norm is None else torch.nn.utils.get_total_norm(gradients.tensors)
        return gradients._replace(norm=norm)

    def update(self, step: Step, optimizer: torch.optim.Optimizer) -> Step:
        """In the decoupled form, multiply the weights by 1 - lr lambda; then step without the optimizer's own decay."""
        import torch

        self._optimizer = optimizer

        def decayed(again: Again) -> None:
            groups = self._groups(shrunk=True)
            if self._settings.form == "decoupled":
                with torch.no_grad():
                    for group in groups:
                        for weight in _moved(group):
                            weight.mul_(1 - group["lr"] * self._settings.lam)
            with _without_decay(groups):
                step(again)

        return decayed


def _moved(group: dict[str, Any]) -> list[Tensor]:
    """The weights that the coming step will move."""
    return [weight for weight in group["params"] if weight.grad is not None]


@contextmanager
def _without_decay(groups: list[dict[str, Any]]) -> Iterator[None]:
    own = [(group, group["weight_decay"]) for group in groups if "weight_decay" in group]
    for group, _ in own:
        group["weight_decay"] = 0.0
    try:
        yield
    finally:
        for group, decay in own:
            group["weight_decay"] = decay


@card(
    "decay_by_hand",
    family="regularisation",
    seams=("grads", "update"),
    stage="penalty",
    live=True,
    when="To see what weight_decay does: two lines around the step, in the place of the optimizer's own.",
    beware="The optimizer's weight_decay is not used while it is on. Groups without decay, as no_decay_1d makes them, stay so.",
    source="Hanson & Pratt 1988, NIPS; Loshchilov & Hutter 2019, arXiv 1711.05101",
    conflicts={
        "no_lr": "it shrinks the weights by lr * lambda, and this optimizer ignores lr",
        "train_eval": "this optimizer keeps two copies of the weights, and it would shrink only one",
    },
    cautions={"grad_clip": "in the loss form the decay is part of the gradient that is clipped"},
    slide="The slide takes L2 and weight decay for one thing; they are one only for SGD without momentum.",
)
class DecayByHand(Toggle):
    """Shrink the weights around each step in two lines, in the place of the optimizer's weight decay.

    form loss: gradient += lambda * w, bit for bit what weight_decay does in sgd, with momentum too.
    form decoupled: w *= 1 - lr * lambda, bit for bit what weight_decay does in adamw. For sgd without momentum the two forms
    are one, up to rounding.
    """

    lam: float = knob(5e-4, low=0, high=1, help="lambda, the strength")
    form: Literal["decoupled", "loss"] = knob("decoupled", help="shrink the weights themselves, or add to their gradients")

    def plug(self, parts: Parts) -> ByHand:
        """It meets the optimizer when the step is wrapped."""
        return ByHand(self)
