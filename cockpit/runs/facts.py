"""What a network is shown and what it answers, in a few numbers each. Frozen plain data, part of events."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Values as they enter the network, over the images that were looked at. A channel of a table is a column."""

    samples: int
    low: float
    high: float
    mean: float
    std: float
    finite: bool = True
    """No value is NaN or infinite; the other numbers leave such values out."""
    floating: bool = True
    """Not whole numbers."""
    channel_stds: tuple[float, float] = (math.nan, math.nan)
    """The smallest and the largest standard deviation of a channel."""
    constant: int = 0
    """Channels that never change."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What the network answers in evaluation mode, as the loss takes it."""

    samples: int
    width: int
    low: float
    high: float
    row_sum_error: float
    """The largest |sum of a row - 1|: near 0 for probabilities."""
    column_sum_error: float
    """The same over a batch: near 0 where a softmax runs over the wrong axis."""
    spread: float
    """Standard deviation over the images, the mean of all outputs: 0 where every image gets the same answer."""
    entropy: float
    """Mean entropy of the predicted shares, in nats."""
    histogram: tuple[int, ...] = ()
    """Values in each of as many equal parts from low to high."""
