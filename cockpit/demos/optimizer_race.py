"""Optimizers of the catalogue, each at its best rate, from one start on one surface."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import knob
from cockpit.catalog import family
from cockpit.demos.surfaces import SURFACES, Surface
from cockpit.recipe.hints import near

if TYPE_CHECKING:
    from cockpit.demos import Say

LETTERS: Mapping[str, str] = {
    "sgd": "S",
    "momentum": "M",
    "nesterov": "N",
    "adagrad": "G",
    "rmsprop": "R",
    "adadelta": "D",
    "adam": "A",
}
"""The optimizers that race, and the letter of each one's trail."""

TRIED = tuple(digit * 10.0**power for power in range(-3, 2) for digit in (1, 2, 5) if digit * 10.0**power <= 20)
"""The rates that were tried."""
TUNED_FOR = 100
"""Steps of the races in which they were tried."""
LONGEST = 1.0
"""A rate that makes any step longer than this was passed over: a leap over the whole surface is no way of walking on it."""
SAME = {"momentum": 0.1, "nesterov": 0.1, "adagrad": 0.5, "rmsprop": 0.05, "adadelta": 20.0, "adam": 0.5}
RATES: Mapping[str, Mapping[str, float]] = {
    "bowl": {**SAME, "sgd": 0.2},
    "ravine": {**SAME, "sgd": 0.02, "momentum": 0.01, "nesterov": 0.01},
    "saddle": {**SAME, "sgd": 0.2, "momentum": 0.2, "nesterov": 0.2},
    "hill": {**SAME, "sgd": 0.2},
}
"""Of the rates tried, each optimizer's with the least mean height over the race."""

NEAR = 0.01
"""As a share of the way down from the start."""


@dataclass(frozen=True)
class Settings:
    """Optimizers race on one surface: who crosses the hill, who creeps along the ravine.

    All start at one point, see the exact gradient, and have the rate of 1, 2, 5, 10 ... that served them best over 100 steps.
    """

    surface: Literal["bowl", "ravine", "saddle", "hill"] = knob("ravine", help="what they walk on")
    steps: int = knob(100, low=1, high=10_000, help="steps of each")
    optimizers: tuple[str, ...] = knob(tuple(LETTERS), help="who races")

    def __post_init__(self) -> None:
        """ValueError where nobody races, or somebody without a rate."""
        strange = [name for name in self.optimizers if name not in LETTERS]
        if strange or not self.optimizers:
            fault = f"{strange[0][:40]!r} does not race" if strange else "a race needs one at least"
            hint = near(strange[0], LETTERS) if strange else ""
            raise ValueError(f"optimizers: {fault}; {hint or 'known: ' + ', '.join(LETTERS)}")


@dataclass(frozen=True)
class Trail:
    """The way of one optimizer."""

    optimizer: str
    rate: float
    places: tuple[tuple[float, float], ...]
    """The start and the place after each step."""
    heights: tuple[float, ...]
    """How far above the lowest point of the surface each place lies."""

    @property
    def arrived(self) -> int | None:
        """The step after which it stays within a hundredth of the way down; None where it does not."""
        limit = NEAR * self.heights[0]
        far = [step for step, height in enumerate(self.heights) if not height < limit]
        return far[-1] + 1 if far[-1] + 1 < len(self.heights) else None

    def plain(self) -> dict[str, Any]:
        """JSON data."""
        places = [list(place) for place in self.places]
        return {
            "optimizer": self.optimizer,
            "rate": self.rate,
            "height": self.heights[-1],
            "arrived": self.arrived,
            "places": places,
        }


@dataclass(frozen=True)
class Result:
    """The trails on a surface."""

    surface: Surface
    steps: int
    trails: tuple[Trail, ...]

    def plain(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "surface": self.surface.name,
            "start": list(self.surface.start),
            "goal": list(self.surface.goal),
            "steps": self.steps,
            "trails": [trail.plain() for trail in self.trails],
        }


def run(settings: Settings, say: Say) -> Result:
    """Race them one after the other."""
    surface = SURFACES[settings.surface]
    say(f"racing on the {surface.name}")
    trails = tuple(walk(surface, name, RATES[surface.name][name], settings.steps) for name in settings.optimizers)
    return Result(surface, settings.steps, trails)


def walk(surface: Surface, optimizer: str, rate: float, steps: int) -> Trail:
    """The trail of one optimizer of the catalogue; it ends early where it leaves every bound."""
    import torch

    place = torch.tensor(surface.start, dtype=torch.float64, requires_grad=True)
    mover = family("optimizer")[optimizer].cls(lr=rate).build([{"params": [place]}])
    places = [surface.start]
    while len(places) <= steps and math.hypot(*places[-1]) < 1e6:
        place.grad = torch.tensor(surface.slope(*places[-1]), dtype=torch.float64)
        mover.step()
        x, y = place.tolist()
        places.append((x, y))
    return Trail(optimizer, rate, tuple(places), tuple(surface.at(*each) - surface.lowest for each in places))


def tuned(surface: Surface, optimizer: str) -> float:
    """What stands in RATES, found anew."""
    races = [walk(surface, optimizer, rate, TUNED_FOR) for rate in TRIED]
    calm = [race for race in races if len(race.places) > TUNED_FOR and longest(race) <= LONGEST]
    return min(calm, key=lambda race: math.fsum(race.heights)).rate


def longest(trail: Trail) -> float:
    """The length of its longest step."""
    return max(math.dist(*pair) for pair in zip(trail.places, trail.places[1:], strict=False))
