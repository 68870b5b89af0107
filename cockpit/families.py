"""The base of every family: what its members must offer, and the knobs that all of them share.

The bodies that need torch import it themselves; the annotations below name torch types for the reader and the checker only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cockpit.cards import Card, Kind, knob

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from cockpit.datasets.base import Dataset, Places
    from cockpit.travel import Clock, Criterion, Parts, Task


class Trick:
    """What a toggle and a member of a choice share. A class defines the methods of the seams its card names:

    dataset(images), model(model, task), params(groups, model), optimizer(optimizer), loss(criterion, task),
    objective(inner, forward, criterion), update(step, optimizer), sampler(batches, epoch), schedule(lr, at),
    batch(batch, at), grads(gradients, at), weights(model, at), evaluate(model), verdict(verdict).

    Each returns what it was given first, or another of its kind. One that changes the number of steps in an epoch also has
    steps(count, epoch number) -> count.
    """

    card: ClassVar[Card]

    @property
    def traits(self) -> tuple[str, ...]:
        """Tags that hold with these knobs, beside those of the card: conflicts may name them too."""
        return ()

    @property
    def stands(self) -> tuple[str, ...]:
        """The seams at which it stands with these knobs: those of its card, unless it has nothing to do there."""
        return self.card.seams

    def plug(self, parts: Parts) -> Any:
        """The object whose methods serve the seams: the trick itself, or one with state (`state_dict`, `load_state_dict`,
        and `close` where something must be taken off the network again). It may have `notes`, sentences for the user about
        this run, and `root`, the weights it starts the network from. ValueError where it cannot work on this network."""
        return self


class Toggle(Trick):
    """Base of the tricks that are on or off."""

    kind: ClassVar[Kind] = "toggle"


@dataclass(frozen=True)
class Member(Trick):
    """Base of the members of a choice."""

    kind: ClassVar[Kind] = "choice"
    family: ClassVar[str]


@dataclass(frozen=True)
class Activation(Member):
    """The non-linearity between two layers."""

    family: ClassVar[str] = "activation"

    def build(self) -> nn.Module:
        """A fresh module."""
        raise NotImplementedError

    def value(self, x: float) -> float:
        """The function itself in evaluation mode, without torch, so that a card can draw its curve."""
        raise NotImplementedError


@dataclass(frozen=True)
class Init(Member):
    """How linear and convolution weights start. Biases start at 0, norm layers as built."""

    family: ClassVar[str] = "init"
    as_built: ClassVar[bool] = False
    """The layers stay as PyTorch or the network's own code made them, biases too."""

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

    keep: Literal["auto", "device", "host", "files"] = knob(
        "auto",
        help="where the images wait: on the device as bytes, in this machine's memory, or in their files, to be decoded by "
        "processes of their own; auto takes the first of these that they fit in",
    )
    mirror: bool | None = knob(None, help="whether a mirrored image is still of its class; none: what is known of the source")

    mirrors: ClassVar[bool] = True
    """What is known of the source: photographs may be mirrored, digits and letters may not."""

    @property
    def mirrored(self) -> bool:
        """Whether a mirrored image is still of its class."""
        return self.mirrors if self.mirror is None else self.mirror

    @property
    def traits(self) -> tuple[str, ...]:
        """`no_mirror` where mirroring changes the class."""
        return () if self.mirrored else ("no_mirror",)

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

    def probabilities(self, logits: Tensor) -> Tensor:
        """What logits (N, K) that were trained with this loss say of the classes; rows sum to 1."""
        return logits.softmax(dim=1)


@dataclass(frozen=True)
class Optimizer(Member):
    """How gradients become updates. Every member has the knobs `lr` and `weight_decay`."""

    family: ClassVar[str] = "optimizer"
    contract: ClassVar[tuple[str, ...]] = ()
    """What it asks of the loop beyond a gradient:
    `closure`: step(closure) computes loss and gradients as often as it needs;
    `create_graph`: the backward pass must itself be differentiable;
    `train_eval`: it has train() and eval(), which move the weights between the two places;
    `no_lr`: it finds its own rate, and the schedule must leave it alone.
    """

    @property
    def traits(self) -> tuple[str, ...]:
        """The contract, so that conflicts may name it."""
        return self.contract

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
            first = self.shape(0.0, clock._replace(step=warm, epochs=None))
            return first * (self.warmup_from + (1 - self.warmup_from) * (clock.step + 1) / warm)
        return self.shape((clock.step - warm) / max(1, clock.total - warm), clock)


@dataclass(frozen=True)
class Score(Member):
    """A number that says how good a network is; the chosen one ranks evaluations and runs, all are shown."""

    family: ClassVar[str] = "score"
    higher_is_better: ClassVar[bool] = True

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """float (N, K) that sum to 1 by row, and int64 (N,), both on the CPU."""
        raise NotImplementedError


CHOICES: Mapping[str, str] = {
    "data": "digits",
    "model": "small_cnn",
    "loss": "cross_entropy",
    "optimizer": "sgd",
    "schedule": "cosine",
    "score": "accuracy",
}
"""The sections of a recipe that take one member of a family -> the member taken when the recipe is silent."""


def discriminator(family: str) -> str:
    """The key that names the member in a section: `data: {source: digits}`, `model: {name: mlp}`."""
    return "source" if family == "data" else "name"
