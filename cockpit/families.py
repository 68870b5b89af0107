"""The base of every family: what its members must offer, and the knobs that all of them share.

The bodies that need torch import it themselves; the annotations below name torch types for the reader and the checker only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from cockpit.cards import Card, Kind, knob

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from cockpit.datasets.base import Dataset, Places

    Criterion = Callable[[Tensor, Tensor], Tensor]


class Task(NamedTuple):
    """What a network must do: images of this shape in, that many logits out."""

    channels: int
    height: int
    width: int
    classes: int


class Clock(NamedTuple):
    """Where a step stands in the planned run; all a schedule may know."""

    step: int
    """Optimizer steps done before this one, from 0."""
    total: int
    """Planned steps."""
    steps_per_epoch: int

    @property
    def epoch(self) -> float:
        """Epochs done, as a fraction."""
        return self.step / max(1, self.steps_per_epoch)


class Batch(NamedTuple):
    """What travels along the batch seam."""

    x: Tensor
    """float (B, C, H, W): in [0, 1] before the standardise stage, standardised after it."""
    y: Tensor
    """int64 (B,) class indices, or float (B, classes) once a trick made soft targets."""
    ids: Tensor
    """int64 (B,): each image's place in the training split."""


class Moment(NamedTuple):
    """The step a trick is called at, and the source of its random numbers."""

    clock: Clock
    task: Task
    stream: Callable[[str], torch.Generator]
    """A CPU generator for the named trick at this step, seeded by (seed, name, step): switching one trick on never shifts
    the draws of another, a resumed run draws what it would have drawn, and every device sees the same draws."""


class Gradients(NamedTuple):
    """What travels along the grads seam."""

    tensors: list[Tensor]
    """One for each trained parameter, unscaled; a trick may change them in place."""
    norm: Tensor | None
    """Their total norm before any clipping, where something measured it."""


@dataclass(frozen=True)
class Verdict:
    """What an evaluation leads to; tricks on the verdict seam replace it."""

    improved: bool
    """This evaluation is the best so far."""
    evaluations: int
    """Evaluations so far, this one included."""
    stop: str = ""
    """Why the run should end here; empty to go on."""
    keep_best: bool = False
    """At the end of the run, whatever ends it, put the best weights back."""


class Toggle:
    """Base of the tricks that are on or off. A subclass defines the methods of the seams its card names:

    model(model, task), params(groups, model), optimizer(optimizer), loss(criterion, task), update(step),
    schedule(lr, at), batch(batch, at), grads(gradients, at), weights(model, at), evaluate(model), verdict(verdict).
    """

    kind: ClassVar[Kind] = "toggle"
    card: ClassVar[Card]

    def plug(self, model: nn.Module) -> Any:
        """The object whose methods serve the seams: the trick itself, or one with state (`state_dict`, `load_state_dict`,
        and `close` where something must be taken off the network again)."""
        return self


@dataclass(frozen=True)
class Member:
    """Base of the members of a choice."""

    kind: ClassVar[Kind] = "choice"
    family: ClassVar[str]
    card: ClassVar[Card]


@dataclass(frozen=True)
class Activation(Member):
    """The non-linearity between two layers."""

    family: ClassVar[str] = "activation"

    def build(self) -> nn.Module:
        """A fresh module."""
        raise NotImplementedError


@dataclass(frozen=True)
class Init(Member):
    """How linear and convolution weights start. Biases start at 0, norm layers as built."""

    family: ClassVar[str] = "init"
    as_built: ClassVar[bool] = False
    """The layers stay as PyTorch made them, biases too."""

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Fill one weight in place, (out, in) or (out, in, k, k)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Norm(Member):
    """The normalisation after a layer."""

    family: ClassVar[str] = "norm"

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """A fresh module for (B, C, H, W) if spatial, else for (B, C)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Source(Member):
    """Where the images come from, and how a validation set is taken from the training images."""

    family: ClassVar[str] = "data"

    val: float = knob(0.1, low=0, help="validation images, taken from the training set by class: a share below 1, else a count")
    split_seed: int = knob(0, low=0, help="seed of the split; not the seed of the run, so that seeds can be compared")
    limit: int | None = knob(None, low=2, help="use only so many training images, by class")
    standardise: Literal["train", "none"] = knob(
        "train", help="subtract the mean of the training split and divide by its standard deviation, per channel"
    )

    def read(self, places: Places) -> Dataset:
        """Find and decode the images. Raises DataError, whose text says which files to put where."""
        raise NotImplementedError


@dataclass(frozen=True)
class Model(Member):
    """The network."""

    family: ClassVar[str] = "model"
    runs_code: ClassVar[bool] = False
    """Building it runs code that the recipe names; the user must have agreed."""

    activation: Activation = knob("relu", help="the non-linearity between layers")
    init: Init = knob("he_normal", help="how the weights start")
    norm: Norm = knob("batch", help="the normalisation after each layer")

    def build(self, task: Task) -> nn.Module:
        """A network (B, channels, height, width) -> (B, classes). ValueError where the image is too small and the like."""
        raise NotImplementedError


@dataclass(frozen=True)
class Loss(Member):
    """What the training minimises."""

    family: ClassVar[str] = "loss"

    def build(self, task: Task) -> Criterion:
        """criterion(logits (B, K), target): a scalar mean. The target is int64 (B,), or float (B, K) from a mixing trick."""
        raise NotImplementedError


@dataclass(frozen=True)
class Optimizer(Member):
    """How gradients become updates. Every member has the knobs `lr` and `weight_decay`."""

    family: ClassVar[str] = "optimizer"

    @property
    def lr(self) -> float:
        """The base learning rate; the schedule multiplies it."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """The settings as keyword arguments of the torch class; the live ones are also keys of its parameter groups."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """An optimizer over parameter groups; a group's own `weight_decay` and `lr_scale` win over the knobs."""
        raise NotImplementedError


@dataclass(frozen=True)
class Schedule(Member):
    """The learning rate as a closed form of the step, so that it can be drawn before the run and edited while it runs."""

    family: ClassVar[str] = "schedule"

    warmup_epochs: float = knob(0.0, low=0, live=True, help="epochs over which the learning rate rises from nearly 0")
    warmup_from: float = knob(0.01, low=0, high=1, live=True, help="where the rise starts, as a share of the full rate")

    def shape(self, progress: float, clock: Clock) -> float:
        """The factor on the base rate at `progress` in [0, 1) of the steps after the warm-up."""
        raise NotImplementedError

    def factor(self, clock: Clock) -> float:
        """The factor on the base rate at a step: warm-up first, then the shape over the steps that remain."""
        warm = min(round(self.warmup_epochs * clock.steps_per_epoch), clock.total)
        if clock.step < warm:
            return self.warmup_from + (1 - self.warmup_from) * (clock.step + 1) / warm
        return self.shape((clock.step - warm) / max(1, clock.total - warm), clock)


CHOICES: Mapping[str, str] = {
    "data": "digits",
    "model": "small_cnn",
    "loss": "cross_entropy",
    "optimizer": "sgd",
    "schedule": "cosine",
}
"""The sections of a recipe that take one member of a family -> the member taken when the recipe is silent."""


def discriminator(family: str) -> str:
    """The key that names the member in a section: `data: {source: digits}`, `model: {name: mlp}`."""
    return "source" if family == "data" else "name"
