"""Thins a curve to the columns of a plot, so that drawing costs what the screen is wide and not what the run is long.

Every column keeps the first, lowest, highest and last value of its points: no spike can vanish. `Thinner` keeps the
columns between two polls and looks only at the points that were appended.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Span = tuple[float, float]
Points = NDArray[Any]


PART = 2**18
"""Points that are thinned at once: more at a time would take hundreds of megabytes in a run of ten million steps."""


@dataclass(frozen=True, eq=False)
class Columns:
    """A curve by columns. Columns without a finite value have `low` = inf and `high` = -inf."""

    count: NDArray[np.int64]
    """Finite values in the column."""
    bad: NDArray[np.int64]
    """Values that are not finite."""
    first: Floats
    """As recorded, finite or not; NaN in an empty column. `last` likewise."""
    last: Floats
    low: Floats
    high: Floats
    total: Floats
    """Sum of the finite values."""
    before: tuple[float, float] | None = None
    """The last point left of the view, as (column, value): the line comes in from there. `after` likewise on the right."""
    after: tuple[float, float] | None = None

    @property
    def mean(self) -> Floats:
        """Mean of the finite values of each column; NaN where there is none."""
        mean: Floats = np.divide(self.total, self.count, out=np.full(len(self.total), np.nan), where=self.count > 0)
        return mean


def empty(columns: int) -> Columns:
    """Columns without points."""
    nan, zero = np.full(columns, np.nan), np.zeros(columns, np.int64)
    return Columns(zero, zero, nan, nan, np.full(columns, np.inf), np.full(columns, -np.inf), np.zeros(columns))


def thin(x: Points, y: Points, columns: int, span: Span, sparse: bool = False) -> Columns:
    """Thin points with ascending x to equal columns over `span` (both ends belong to it). `sparse` leaves NaN out."""
    if sparse:
        known = ~np.isnan(y)
        x, y = x[known], y[known]
    cuts = _cuts(x, columns, span)
    before = _outside(x, y, int(cuts[0]) - 1, columns, span)
    after = _outside(x, y, int(cuts[-1]), columns, span)
    occupied = np.flatnonzero(np.diff(cuts))
    blank = empty(columns)
    if not len(occupied):
        return Columns(blank.count, blank.bad, blank.first, blank.last, blank.low, blank.high, blank.total, before, after)
    values = np.asarray(y[cuts[0] : cuts[-1]], np.float64)
    begin, end = cuts[occupied] - cuts[0], cuts[occupied + 1] - cuts[0]
    good = np.isfinite(values)

    def fill(into: NDArray[Any], what: NDArray[Any]) -> NDArray[Any]:
        into[occupied] = what
        return into

    count = fill(np.zeros(columns, np.int64), np.add.reduceat(good, begin, dtype=np.int64))
    return Columns(
        count=count,
        bad=fill(np.zeros(columns, np.int64), end - begin) - count,
        first=fill(blank.first.copy(), values[begin]),
        last=fill(blank.last.copy(), values[end - 1]),
        low=fill(blank.low, np.minimum.reduceat(np.where(good, values, np.inf), begin)),
        high=fill(blank.high, np.maximum.reduceat(np.where(good, values, -np.inf), begin)),
        total=fill(blank.total, np.add.reduceat(np.where(good, values, 0.0), begin)),
        before=before,
        after=after,
    )


def _cuts(x: Points, columns: int, span: Span) -> NDArray[np.int64]:
    """Where the points of each column begin, and where those of the last one end."""
    edges = span[0] + (span[1] - span[0]) * np.arange(columns + 1) / columns
    inner, last = edges[:-1], np.float64(span[1])
    if np.issubdtype(x.dtype, np.integer):
        # A search with another type of number would first convert, and so read, every point of the run.
        inner, last = np.ceil(inner).astype(x.dtype), np.floor(last).astype(x.dtype)
    return np.append(np.searchsorted(x, inner, "left"), np.searchsorted(x, last, "right"))


def _outside(x: Points, y: Points, index: int, columns: int, span: Span) -> tuple[float, float] | None:
    if not 0 <= index < len(x):
        return None
    return (float(x[index]) - span[0]) / (span[1] - span[0]) * columns - 0.5, float(y[index])


def merge(old: Columns, new: Columns) -> Columns:
    """The columns of a curve and of the points appended to it."""
    had, has = old.count + old.bad > 0, new.count + new.bad > 0
    return Columns(
        count=old.count + new.count,
        bad=old.bad + new.bad,
        first=np.where(had, old.first, new.first),
        last=np.where(has, new.last, old.last),
        low=np.minimum(old.low, new.low),
        high=np.maximum(old.high, new.high),
        total=old.total + new.total,
        before=new.before or old.before,
        after=old.after or new.after,
    )


class Thinner:
    """The columns of one growing curve; returns the same object while nothing changed."""

    def __init__(self) -> None:
        self._asked: tuple[int, Span, bool] | None = None
        self._seen = 0
        self._witness: tuple[str, ...] = ()
        self._columns = empty(0)

    def update(self, x: Points, y: Points, columns: int, span: Span, sparse: bool = False) -> Columns:
        """The columns of these points, which are those of the last call and some more, or others altogether."""
        asked = (columns, span, sparse)
        if asked != self._asked or len(x) < self._seen or _witness(x, y, self._seen) != self._witness:
            self._columns, self._seen = empty(columns), 0
        elif len(x) == self._seen:
            return self._columns
        for start in range(self._seen, len(x), PART):
            part = slice(start, start + PART)
            self._columns = merge(self._columns, thin(x[part], y[part], columns, span, sparse))
        self._asked, self._seen, self._witness = asked, len(x), _witness(x, y, len(x))
        return self._columns


def _witness(x: Points, y: Points, count: int) -> tuple[str, ...]:
    """Three points that tell whether a run was cut back and trained anew behind our back; as text, so that NaN equals NaN."""
    at = (0, count // 2, count - 1) if count else ()
    return tuple(str(value) for index in at for value in (x[index], y[index]))
