"""Smoothing of thinned curves."""

import math
from dataclasses import replace

import numpy as np

from cockpit.ui.plot.thin import Columns

WEIGHTS = (0.0, 0.8, 0.95)
"""What each level of smoothing keeps of the past from one column of dots to the next."""


def smooth(columns: Columns, weight: float) -> Columns:
    """Exponential moving average of the means of the columns, without the bias of its start (Adam's: Kingma, Ba 2015)."""
    means = columns.mean
    averages = np.where(columns.bad > 0, np.nan, means)
    past, mass = 0.0, 0.0
    for at in np.flatnonzero(columns.count).tolist():
        past = weight * past + (1 - weight) * float(means[at])
        mass = weight * mass + (1 - weight)
        averages[at] = past / mass
    known = ~np.isnan(averages)
    low, high = np.where(known, averages, math.inf), np.where(known, averages, -math.inf)
    return replace(columns, first=averages, last=averages, low=low, high=high, before=None, after=None)
