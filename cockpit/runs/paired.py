"""Means over seeds with their confidence intervals, alone and as paired differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120)
"""The 97.5 % point of Student's t for 1, 2, ... degrees of freedom; beyond the table, the normal's 1.96 is near enough."""


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
        return abs(self.mean) > self.half


def mean_of(values: Sequence[float]) -> Mean:
    """Mean, spread and interval of independent runs. ValueError where there are none."""
    count = len(values)
    if not count:
        raise ValueError("no runs to take a mean of")
    mean = sum(values) / count
    if count == 1:
        return Mean(mean, math.nan, math.nan, 1)
    std = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    t = T95[count - 2] if count - 2 < len(T95) else 1.96
    return Mean(mean, std, t * std / math.sqrt(count), count)


def paired(one: Sequence[float], other: Sequence[float]) -> Mean:
    """The mean of other - one, seed by seed: what the seeds share cancels (Page 2019, "How to train your ResNet 8")."""
    return mean_of([b - a for a, b in zip(one, other, strict=True)])
