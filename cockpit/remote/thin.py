"""The old rows of a long table, thinned to what the screen can show of them: no spike is lost, and they cross in a moment."""

import numpy as np
from numpy.typing import NDArray

from cockpit.runs.tables import Rows

EXACT = 4096
"""The last rows are never thinned."""
LONG = 4 * EXACT
"""A table with fewer rows is not thinned at all."""
BUCKETS = 400
COUNTED = 2000
"""Counts of units that are kept."""


def sketch(name: str, rows: Rows) -> Rows:
    """Of the old rows of a table: for steps, the extremes of every column; for layers, the last counts; else none."""
    if name == "steps":
        return rows[_extremes(rows)]
    if name == "layers":  # the screen looks back only for what evaluations measured
        counted = ~np.isnan(rows["dead"]) | ~np.isnan(rows["saturated"]) | ~np.isnan(rows["weight_std"])
        kept: Rows = rows[counted]
        return kept[-COUNTED:]
    return rows[:0]


def _extremes(rows: Rows) -> NDArray[np.intp]:
    """The rows where a measurement is least or greatest within its stretch of the table, in order."""
    length = -(-len(rows) // BUCKETS)
    starts = np.arange(0, len(rows), length)
    kept = [starts]
    for name in rows.dtype.names or ():
        if rows.dtype[name].kind != "f" or name == "time":
            continue
        for sign in (1, -1):
            column = np.full(len(starts) * length, np.inf, np.float32)
            column[: len(rows)] = np.where(np.isnan(rows[name]), np.inf, sign * rows[name])
            kept.append(starts + column.reshape(len(starts), length).argmin(axis=1))
    found = np.unique(np.concatenate(kept))
    return found[found < len(rows)]
