"""Dropout before linear layers: the plain one, and the one that goes with SELU."""

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


def later_linear(model: nn.Module, name: str) -> list[nn.Module]:
    """Every linear layer but the first layer of the network. ValueError where there is none."""
    from torch import nn

    weighted = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    found: list[nn.Module] = [module for module in weighted[1:] if isinstance(module, nn.Linear)]
    if not found:
        raise ValueError(f"{name} needs a linear layer behind the first layer; this network has none")
    return found


@card(
    "dropout",
    family="regularisation",
    seams=("model",),
    live=True,
    when="Training accuracy runs away from validation accuracy.",
    beware="Off in evaluation mode, so training loss is no longer comparable; with batch norm keep it after the last norm.",
    source="Srivastava et al. 2014, JMLR 15",
    slide="The figure on the slide scales at test time; libraries divide by 1 - p while training and do nothing at test.",
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

        linear = [module for module in parts.model.modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise ValueError("dropout needs a linear layer; this network has none")
        chosen = linear[-1:] if self.where == "head" else later_linear(parts.model, "dropout with where: all")
        return Dropping([module.register_forward_pre_hook(drop) for module in chosen])


OTHERS = (
    *("sigmoid", "tanh", "arctan", "softsign", "hardtanh", "hardsigmoid", "elu", "celu", "softplus", "gelu", "silu", "mish"),
    *("hardswish", "relu", "leaky_relu", "prelu", "rrelu", "relu6"),
)


@card(
    "alpha_dropout",
    family="regularisation",
    seams=("model",),
    live=True,
    when="With activation selu and norm none, whose mean 0 and variance 1 plain dropout would spoil.",
    beware="Off in evaluation mode, so training loss is no longer comparable.",
    source="Klambauer et al. 2017, arXiv 1706.02515",
    conflicts={"dropout": "one dropout for a layer"},
    cautions=dict.fromkeys(OTHERS, "it keeps mean and variance only behind selu; take dropout"),
)
class AlphaDropout(Toggle):
    """Set random activations to the value that SELU has far below 0, and keep mean and variance."""

    p: float = knob(0.05, low=0, high=0.9, help="share of the activations that are set")

    def plug(self, parts: Parts) -> Dropping:
        """Hang it before every linear layer but the first layer. ValueError where there is no other."""
        from torch.nn import functional

        def drop(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (functional.alpha_dropout(inputs[0], self.p, module.training), *inputs[1:])

        chosen = later_linear(parts.model, "alpha_dropout")
        return Dropping([module.register_forward_pre_hook(drop) for module in chosen])
