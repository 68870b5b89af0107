"""Axes: limits that seldom move, and ticks at round numbers (1, 2, 5 and their tens)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DECADES = 12
"""A logarithmic axis shows no more: what is smaller lies on its floor."""

HUGE = 1e300
"""Beyond it, or below its inverse, the arithmetic of an axis would overflow; such a value lies on the edge."""


@dataclass(frozen=True)
class Axis:
    """A value axis from `low` to `high`, both finite; on a logarithmic one both are above 0."""

    low: float
    high: float
    log: bool = False

    def share(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far up values lie, 0 to 1; those outside lie on the nearer edge, NaN stays NaN."""
        low, high = self.low, self.high
        if self.log:
            values, low, high = np.log10(np.maximum(values, self.low)), math.log10(low), math.log10(high)
        return np.clip((values - low) / (high - low), 0.0, 1.0)

    def ticks(self, count: int) -> list[float]:
        """At most `count` round values within the axis."""
        return _log_ticks(self.low, self.high, count) if self.log else ticks(self.low, self.high, count)


def value_axis(values: NDArray[np.float64], log: bool, ticks_wanted: int = 5) -> Axis | None:
    """The axis that holds all finite values; None where there is none to show (or, on a logarithmic axis, none above 0)."""
    values = values[(np.abs(values) < HUGE) & ((values > 1 / HUGE) | (not log))]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if log:
        return _log_axis(low, high)
    size = max(abs(low), abs(high))
    if high - low <= 1e-12 * size or size < 1 / HUGE:
        margin = 0.1 * size if size > 1 / HUGE else 1.0
        return Axis(low - margin, high + margin)
    half = nice_step(high - low, ticks_wanted) / 2
    return Axis(math.floor(low / half + 1e-9) * half, math.ceil(high / half - 1e-9) * half)


def _log_axis(low: float, high: float) -> Axis:
    top = 10 ** (math.ceil(math.log10(high) * 4 - 1e-9) / 4)
    bottom = 10 ** (math.floor(math.log10(low) * 4 + 1e-9) / 4)
    return Axis(max(min(bottom, top / 10**0.5), top / 10**DECADES), top, log=True)


def nice_step(length: float, count: int) -> float:
    """The smallest step of 1, 2 or 5 tens that cuts a length into at most `count` pieces."""
    raw = length / max(count, 1)
    ten = 10.0 ** math.floor(math.log10(raw))
    return ten * next(nice for nice in (1, 2, 5, 10) if nice * ten >= raw * (1 - 1e-9))


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round values from low to high, at most `count` + 1."""
    step = nice_step(high - low, count)
    start, end = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(start, end + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        found = [nice * 10.0**ten for ten in range(bottom, top + 1) for nice in mantissas]
        found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) <= count:
            return found
    return found[:: math.ceil(len(found) / max(count, 1))]


def tick_label(value: float) -> str:
    """A round number in at most six characters or so: `0.25`, `1e-05`, `20k`."""
    size = abs(value)
    if size < 1e-12:
        return "0"
    if size >= 1e6 or size < 1e-3:
        mantissa, _, ten = f"{value:.3e}".partition("e")
        return f"{float(mantissa):g}e{int(ten)}"
    if size >= 1e4:
        return f"{value / 1000:.6g}k"
    return f"{value:.6g}"


def value_label(value: float) -> str:
    """A measured value in four digits: `0.4120`, `1204`, `3.1e-5`; not finite -> `nan`, `inf`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-3 <= abs(value) < 1e5:
        mantissa, _, ten = f"{value:.1e}".partition("e")
        return f"{mantissa}e{int(ten)}"
    return f"{value:#.4g}".rstrip(".") if abs(value) < 1e4 else f"{value:.0f}"


def grown(x: float) -> float:
    """The end of an axis whose run has no planned length: a round number beyond x, so that columns seldom move."""
    return 1.0 if x <= 0 else next(ten for ten in _rounds(x) if ten >= x)


def _rounds(x: float) -> list[float]:
    ten = 10.0 ** math.floor(math.log10(x))
    return [nice * ten for nice in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15)]
