"""Dropout before the head, or before every linear layer but the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle


class Dropping:
    """Dropout hung on the network from outside, so that it can be taken off again while the run runs."""

    def __init__(self, handles: list[RemovableHandle]) -> None:
        self._handles = handles

    def model(self, model: nn.Module, _: Any) -> nn.Module:
        """The hooks are on already."""
        return model

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()


@card(
    "dropout",
    family="regularisation",
    seams=("model",),
    live=True,
    when="Training accuracy runs away from validation accuracy.",
    beware="Off in evaluation mode, so training loss is no longer comparable; with batch norm keep it after the last norm.",
    source="Srivastava et al. 2014, JMLR 15",
)
class Dropout(Toggle):
    """Set random activations to zero in training and scale up the rest."""

    p: float = knob(0.1, low=0, high=0.9, help="share of the activations set to zero")
    where: Literal["head", "all"] = knob("head", help="before the last linear layer, or before all but the first layer")

    def plug(self, parts: Parts) -> Dropping:
        """Hang the dropout before the chosen linear layers; they draw from torch's own generator, as nn.Dropout does."""
        from torch import nn
        from torch.nn import functional

        def drop(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (functional.dropout(inputs[0], self.p, module.training), *inputs[1:])

        model = parts.model
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise ValueError("dropout needs a linear layer; this network has none")
        first = next(module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d))
        chosen = linear[-1:] if self.where == "head" else [module for module in linear if module is not first]
        return Dropping([module.register_forward_pre_hook(drop) for module in chosen])
