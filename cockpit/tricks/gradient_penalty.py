"""A penalty on gradients: of the answer by the image, or of the loss by the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Outcome, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cockpit.travel import Criterion, Forward, Objective


@contextmanager
def _second_look(model: nn.Module, x: Tensor) -> Iterator[None]:
    """A pass that can be differentiated twice and leaves no trace.

    In fp32, with the attention kernel that has a second derivative; torch's generators are put back, so that the pass that
    follows draws the same dropout, and batch norm keeps its running statistics. A compiled network has no second derivative
    either: call its `forward`, which is not compiled.
    """
    import torch
    from torch import nn
    from torch.nn.attention import SDPBackend, sdpa_kernel

    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm) and each.track_running_stats]
    devices = [x.device] if x.device.type == "cuda" else []
    for norm in norms:
        norm.track_running_stats = not norm.training
    try:
        with (
            torch.random.fork_rng(devices),
            torch.autocast(x.device.type, enabled=False),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def input_penalty(model: nn.Module, batch: Batch) -> Tensor:
    """Mean over the images of the squared norm of the gradient of sum_c target_c log p_c by the image."""
    import torch
    from torch.nn import functional

    x = batch.x.detach().requires_grad_()
    with _second_look(model, x):
        logs: Tensor = model.forward(x).log_softmax(dim=1)
        target = batch.y if batch.y.is_floating_point() else functional.one_hot(batch.y, logs.shape[1])
        (gradient,) = torch.autograd.grad((logs * target).sum(), x, create_graph=True)
        return gradient.flatten(1).square().sum(dim=1).mean()


def weight_penalty(model: nn.Module, batch: Batch, criterion: Criterion) -> Tensor:
    """Squared norm of the gradient of the batch's loss by all trained weights."""
    import torch

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    with _second_look(model, batch.x):
        loss = criterion(model.forward(batch.x), batch.y)
        gradients = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
        return torch.stack([each.square().sum() for each in gradients if each is not None]).sum()


class Steepness:
    """Adds the penalty of the network to the loss."""

    def __init__(self, settings: GradientPenalty, model: nn.Module) -> None:
        self._settings, self._model = settings, model

    def objective(self, inner: Objective, forward: Forward, criterion: Criterion) -> Objective:
        """The loss plus lambda times the penalty, which takes a forward pass of its own."""

        def penalised(batch: Batch, at: Moment) -> Outcome:
            if self._settings.of == "input":
                penalty = input_penalty(self._model, batch)
            else:
                penalty = weight_penalty(self._model, batch, criterion)
            outcome = inner(batch, at)
            return outcome._replace(loss=outcome.loss + self._settings.lam * penalty)

        return penalised


@card(
    "gradient_penalty",
    family="regularisation",
    seams=("objective",),
    stage="penalty",
    live=True,
    tags=("double_backward",),
    when="The answers should change little when an image does: noise, small attacks, few training images.",
    beware="A step costs about three times as much, and the pass for the penalty is always fp32 and uncompiled.",
    source="Drucker & LeCun 1992, IEEE TNN 3; Ross & Doshi-Velez 2018, arXiv 1711.09404",
    cautions=dict.fromkeys(
        ("batch", "ghost_batch", "split_batch", "sync_batch"),
        "an image's gradient also runs through the statistics of its batch: group norm keeps images apart",
    )
    | {"grad_accumulation": "of: params measures the gradient of each part, not that of the whole step"},
)
class GradientPenalty(Toggle):
    """Add the squared gradient of the answer by the image, or of the loss by the weights, to the loss."""

    lam: float = knob(0.1, low=0, high=10, help="lambda, the strength")
    of: Literal["input", "params"] = knob(
        "input", help="the gradient of the log-probability by the image, or of the loss by the weights"
    )

    def plug(self, parts: Parts) -> Steepness:
        """It looks at the network itself, beside the objective. ValueError where the penalty has no gradient."""
        self._try(parts)
        return Steepness(self, parts.model)

    def _try(self, parts: Parts) -> None:
        """Take the penalty of a copy and its gradient; a network that cannot even answer is not this trick's to judge."""
        import torch

        net, labels = copy.deepcopy(parts.model).eval(), parts.train.labels
        batch = parts.train.standardise(parts.train.take(torch.arange(min(2, len(labels)), device=labels.device)))
        with suppress(RuntimeError), torch.random.fork_rng(devices=[]):
            net.forward(batch.x)
            self._differentiate(net, batch)

    def _differentiate(self, net: nn.Module, batch: Batch) -> None:
        import torch
        from torch.nn import functional

        try:
            with torch.enable_grad():
                of_input = self.of == "input"
                penalty = input_penalty(net, batch) if of_input else weight_penalty(net, batch, functional.cross_entropy)
                penalty.backward()
        except RuntimeError as error:
            raise ValueError(
                "gradient_penalty takes the gradient of a gradient, and this network has none; take another "
                f"model.activation: {str(error).splitlines()[0]}"
            ) from error
