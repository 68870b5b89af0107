"""Means over seeds with their confidence intervals, alone and as paired differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

T95 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""The 97.5 % point of Student's t for 1, 2, ... degrees of freedom."""
Z95 = 1.959964
"""That of the normal distribution."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds."""

    mean: float
    std: float
    """Of one run, with n - 1."""
    half: float
    """Half of the 95 % confidence interval of the mean; nan for a single run."""
    count: int

    @property
    def tells(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.half > 0 and abs(self.mean) > self.half

    def plain(self) -> dict[str, Any]:
        """JSON data; what a single run cannot tell is null."""
        return {name: None if math.isnan(value) else value for name, value in vars(self).items()}


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t: from the table, beyond it by Abramowitz & Stegun 1964, 26.7.5."""
    if freedom <= len(T95):
        return T95[freedom - 1]
    first, second = (Z95**3 + Z95) / 4, (5 * Z95**5 + 16 * Z95**3 + 3 * Z95) / 96
    return Z95 + first / freedom + second / freedom**2


def mean_of(values: Sequence[float]) -> Mean:
    """Mean, spread and interval of independent runs. ValueError where there are none."""
    count = len(values)
    if not count:
        raise ValueError("no runs to take a mean of")
    mean = sum(values) / count
    if count == 1:
        return Mean(mean, math.nan, math.nan, 1)
    std = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return Mean(mean, std, student(count - 1) * std / math.sqrt(count), count)


def paired(one: Sequence[float], other: Sequence[float]) -> Mean:
    """The mean of other - one, seed by seed: what the seeds share cancels (Page 2019, "How to train your ResNet 8")."""
    return mean_of([b - a for a, b in zip(one, other, strict=True)])
