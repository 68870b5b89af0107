"""Stochastic weight averaging: the plain mean of the weights that the end of a run passes through."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Moment, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCHES, IMAGES = 100, 128
"""What batch norm statistics are taken from: so many batches of clean training images at most, of so many images."""


class Tail:
    """The mean of the weights so far, and the rate at which they go on."""

    def __init__(self, settings: Swa, parts: Parts) -> None:
        self._settings, self._parts = settings, parts
        self._mean = copy.deepcopy(parts.model).eval().requires_grad_(False)
        self._mean.zero_grad()
        self._count = 0
        self._highest = 0.0
        self._fresh = False

    def schedule(self, lr: float, at: Moment) -> float:
        """The schedule's rate until the tail begins, then the tail's, at most the highest that was asked for so far."""
        self._highest = max(self._highest, lr)
        return lr if at.clock.step < self._start(at) else min(self._settings.swa_lr, self._highest)

    def weights(self, model: nn.Module, at: Moment) -> nn.Module:
        """Take the weights into the mean at every full `every` epochs of the tail; buffers follow the network."""
        import torch

        done = at.clock.step + 1
        if done > self._start(at) and done % max(1, round(self._settings.every * at.clock.steps_per_epoch)) == 0:
            self._count, self._fresh = self._count + 1, False
            with torch.no_grad():
                ours: list[Tensor] = list(self._mean.parameters())
                theirs: list[Tensor] = list(model.parameters())
                torch._foreach_lerp_(ours, theirs, 1 / self._count)
                for mine, yours in zip(self._mean.buffers(), model.buffers(), strict=True):
                    mine.copy_(yours)
        return model

    def evaluate(self, model: nn.Module) -> nn.Module:
        """The mean stands in for the network as soon as there is one, with batch norm statistics of its own."""
        from cockpit.nets.statistics import refresh_batch_norm

        if not self._count:
            return model
        if not self._fresh:
            refresh_batch_norm(self._mean, self._clean_batches())
            self._fresh = True
        return self._mean

    def _clean_batches(self) -> Iterator[Tensor]:
        import torch

        train = self._parts.train
        places = torch.randperm(len(train), generator=self._parts.stream("swa"))[: BATCHES * IMAGES]
        for part in places.to(train.labels.device).tensor_split(-(-len(places) // IMAGES)):  # none of one image
            yield train.standardise(train.take(part)).x

    def _start(self, at: Moment) -> float:
        return self._settings.start * at.clock.total

    def state_dict(self) -> dict[str, Any]:
        """The mean, of how many it is, and the highest rate that was asked for."""
        return {"mean": dict(self._mean.state_dict()), "count": self._count, "highest": self._highest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a saved mean back."""
        self._mean.load_state_dict(state["mean"])
        self._count, self._highest, self._fresh = state["count"], state["highest"], False


@card(
    "swa",
    family="averaging",
    seams=("schedule", "weights", "evaluate"),
    stage="average",
    live=True,
    tags=("averages",),
    conflicts={
        "averages": "two averages of the weights at once, and only one can be scored",
        "no_lr": "swa sets the rate of the tail, and this optimizer finds its own",
    },
    when="The rate can be kept up at the end; long runs with sgd gain most.",
    beware="The rate stays at swa_lr from `start` on, whatever the schedule: raw scores stop rising, the mean's rise. "
    "Adam wants a swa_lr near half its lr.",
    source="Izmailov et al. 2018, arXiv 1803.05407",
)
class Swa(Toggle):
    """Keep the rate up at the end of the run, and score the mean of the weights visited there."""

    start: float = knob(0.75, low=0, below=1, help="where the tail begins, as a share of the run")
    every: float = knob(1.0, above=0, help="epochs between two sets of weights that enter the mean")
    swa_lr: float = knob(0.05, above=0, high=10, help="learning rate of the tail, cut to the highest that the run has had")

    def plug(self, parts: Parts) -> Tail:
        """A copy of the network that becomes the mean."""
        return Tail(self, parts)
