"""Soups: the mean of the weights of several runs that started from one root (Wortsman et al. 2022, arXiv 2203.05482).

Networks from different roots lie in different basins: the mean of their weights knows nothing. So unlike roots are refused,
and only shown on request as the demonstration that they are.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cockpit.engine.across.ensemble import AcrossError
from cockpit.engine.reopen import Reopened
from cockpit.engine.scoring import Scores, all_scores, rank, score
from cockpit.nets.statistics import refresh_batch_norm

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Taste:
    """One tried soup on validation."""

    members: tuple[str, ...]
    """Ids of the runs in it."""
    accuracy: float
    loss: float
    scores: dict[str, float]
    """Every score by name."""
    rank: tuple[float, float]
    """By the score of the recipe; the larger the better."""


@dataclass(frozen=True)
class Soup:
    """The soup that was kept, and the tries that led to it."""

    state: dict[str, Tensor]
    taste: Taste
    members: tuple[Taste, ...]
    """Each run by itself."""
    tries: tuple[Taste, ...]


def average(states: Sequence[State], shares: Sequence[float] | None = None) -> dict[str, Tensor]:
    """The weighted mean of each floating tensor, taken in float64; integer buffers come from the first."""
    shares = shares or [1 / len(states)] * len(states)
    mixed = {}
    for name, first in states[0].items():
        if first.is_floating_point():
            mean = torch.stack([state[name].double() * share for state, share in zip(states, shares, strict=True)]).sum(0)
            mixed[name] = mean.to(first.dtype)
        else:
            mixed[name] = first.clone()
    return mixed


def check(members: Sequence[Reopened], *, any_root: bool = False) -> None:
    """Raise AcrossError where the weights of the runs cannot be averaged."""
    first = members[0]
    names = {name: tuple(value.shape) for name, value in first.job.model.state_dict().items()}
    for other in members[1:]:
        pair = f"runs {first.label} and {other.label}"
        if {name: tuple(value.shape) for name, value in other.job.model.state_dict().items()} != names:
            raise AcrossError(f"{pair} have different networks: shapes or names of the weights differ")
        if other.job.recipe.data != first.job.recipe.data:
            raise AcrossError(f"{pair} have different data, so there is no validation set that both leave alone")
        if other.job.root != first.job.root and not any_root:
            raise AcrossError(
                f"{pair} have no common root: they started from different weights, and the mean of such is mostly worse than "
                "either; fine-tune both from one run (tricks.fine_tune.run), or say --any-root to see what comes of it"
            )


class Kitchen:
    """Tastes soups: averaged weights in the first member's network, with batch norm statistics taken anew."""

    def __init__(self, members: Sequence[Reopened]) -> None:
        self.members = members
        self._job = members[0].job
        self._model = copy.deepcopy(self._job.model)
        self.states = [dict(member.job.model.state_dict()) for member in members]

    def cook(self, state: State) -> nn.Module:
        """A network with these weights and fresh batch norm statistics of clean training images."""
        self._model.load_state_dict(state)
        refresh_batch_norm(self._model, (self._job.train.clean(places).x for places in self._job.clean_places()))
        return self._model

    def taste(self, state: State) -> Scores:
        """On validation."""
        job = self._job
        return score(job.wiring.views(self.cook(state)), job.val, job.val_places(), job.plain_criterion, job.precision)

    def tried(self, chosen: Sequence[int]) -> Taste:
        """The uniform soup of some members."""
        seen = self.taste(average([self.states[number] for number in chosen]))
        scores, recipe = all_scores(self._job.recipe, seen), self._job.recipe
        labels = tuple(self.members[number].label for number in chosen)
        return Taste(labels, seen.accuracy, seen.loss, scores, rank(recipe, scores, seen))

    def served(self, chosen: Sequence[int]) -> dict[str, Tensor]:
        """The weights of the uniform soup of some members, batch norm statistics included."""
        kept = self.cook(average([self.states[number] for number in chosen])).state_dict()
        return {name: value.clone() for name, value in kept.items()}


def uniform(members: Sequence[Reopened], *, any_root: bool = False) -> Soup:
    """The mean of all. Raises AcrossError."""
    check(members, any_root=any_root)
    kitchen = Kitchen(members)
    everyone = range(len(members))
    taste = kitchen.tried(everyone)
    return Soup(kitchen.served(everyone), taste, _alone(kitchen), (taste,))


def greedy(members: Sequence[Reopened], *, any_root: bool = False) -> Soup:
    """Best member first; a run joins only if the soup is no worse for it, on validation. Raises AcrossError."""
    check(members, any_root=any_root)
    kitchen = Kitchen(members)
    alone = _alone(kitchen)
    order = sorted(range(len(members)), key=lambda number: alone[number].rank, reverse=True)
    chosen, best, tries = order[:1], alone[order[0]], []
    for number in order[1:]:
        tries.append(kitchen.tried([*chosen, number]))
        if tries[-1].rank[0] >= best.rank[0]:
            chosen, best = [*chosen, number], tries[-1]
    return Soup(kitchen.served(chosen), best, alone, tuple(tries))


def _alone(kitchen: Kitchen) -> tuple[Taste, ...]:
    return tuple(kitchen.tried([number]) for number in range(len(kitchen.members)))


def line(members: Sequence[Reopened], points: Sequence[float] = (0, 0.25, 0.5, 0.75, 1)) -> list[tuple[float, float]]:
    """(share of the second run, validation accuracy) along the straight line between the first two: a dip is a barrier."""
    kitchen = Kitchen(members[:2])
    return [(t, kitchen.taste(average(kitchen.states, [1 - t, t])).accuracy) for t in points]
