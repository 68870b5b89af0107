"""Surfaces over the plane as closed forms with their gradients, to race optimizers on."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]
Form = Callable[[Grid, Grid], Grid]


@dataclass(frozen=True)
class Surface:
    """A function of (x, y), where a race on it starts, and the part of the plane that is drawn."""

    name: str
    about: str
    value: Form
    slope: Callable[[float, float], tuple[float, float]]
    """The gradient at a point."""
    start: tuple[float, float]
    goal: tuple[float, float]
    """A lowest point."""
    window: tuple[float, float, float, float]
    """left, right, bottom, top"""

    @property
    def lowest(self) -> float:
        """The value at the goal."""
        return self.at(*self.goal)

    def at(self, x: float, y: float) -> float:
        """The value at one point."""
        return float(self.value(np.float64(x), np.float64(y)))  # type: ignore[arg-type]


def bowl() -> Surface:
    """Nearly round."""
    return Surface(
        "bowl",
        "nearly round, so that one rate fits every direction",
        lambda x, y: (x**2 + 3 * y**2) / 2,
        lambda x, y: (x, 3 * y),
        start=(-2.4, 1.2),
        goal=(0.0, 0.0),
        window=(-3.0, 3.0, -2.0, 2.0),
    )


STEEP = 60.0
"""Curvature across the ravine; along it, it is 1."""
TURN = math.radians(25)
"""The ravine runs along no axis, so that a rate for each coordinate cannot simply undo it."""


def ravine() -> Surface:
    """Steep across, flat along."""
    cos, sin = math.cos(TURN), math.sin(TURN)

    def value(x: Grid, y: Grid) -> Grid:
        return ((cos * x + sin * y) ** 2 + STEEP * (cos * y - sin * x) ** 2) / 2

    def slope(x: float, y: float) -> tuple[float, float]:
        along, across = cos * x + sin * y, STEEP * (cos * y - sin * x)
        return cos * along - sin * across, sin * along + cos * across

    return Surface(
        "ravine",
        f"{STEEP:g} times as steep across as along: the rate that is safe across is slow along",
        value,
        slope,
        start=(-2.4, -0.5),
        goal=(0.0, 0.0),
        window=(-3.0, 1.2, -1.6, 1.2),
    )


def saddle() -> Surface:
    """A pass between two valleys, entered almost exactly on its ridge."""
    return Surface(
        "saddle",
        "a pass between two valleys, entered almost on the ridge: the gradient nearly vanishes there",
        lambda x, y: x**2 / 2 - y**2 / 2 + y**4 / 4,
        lambda x, y: (x, y**3 - y),
        start=(-2.0, 0.001),
        goal=(0.0, 1.0),
        window=(-2.6, 2.6, -1.7, 1.7),
    )


HILL = (1.6, -0.6, 0.5)
"""Height, place and width of the small hill in the way."""
VALLEY = (2.6, 0.12)
"""Place and curvature of the deeper valley behind it."""
CROSS = 4.0
"""Curvature in y: gradient descent is stable below a rate of 2 / CROSS."""


def hill() -> Surface:
    """A valley, a small hill, a deeper valley."""
    height, peak, width = HILL
    place, open_ = VALLEY

    def value(x: Grid, y: Grid) -> Grid:
        return open_ * (x - place) ** 2 + height * np.exp(-(((x - peak) / width) ** 2) / 2) + CROSS * y**2 / 2

    def slope(x: float, y: float) -> tuple[float, float]:
        up = height * math.exp(-(((x - peak) / width) ** 2) / 2) * (peak - x) / width**2
        return 2 * open_ * (x - place) + up, CROSS * y

    return Surface(
        "hill", "a small hill before the deeper valley", value, slope, (-4.0, 0.8), (2.6, 0.0), (-4.8, 4.2, -1.6, 1.6)
    )


SURFACES = {surface.name: surface for surface in (bowl(), ravine(), saddle(), hill())}
