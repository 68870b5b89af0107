"""Turns thinned columns into dots, and dots into characters."""

import numpy as np
from numpy.typing import NDArray

from cockpit.ui.plot.scale import Axis
from cockpit.ui.plot.series import Shape
from cockpit.ui.plot.thin import Columns, Floats

Mask = NDArray[np.bool_]
Codes = NDArray[np.uint32]

BRAILLE = np.array([[1, 8], [2, 16], [4, 32], [64, 128]], np.uint32)
"""The bit of each dot in a braille character, from U+2800 on."""


RHYTHM: dict[Shape, tuple[int, int]] = {"dashed": (6, 4), "dotted": (2, 1)}
"""Of so many dots, so many are drawn."""


def line(columns: Columns, axis: Axis, high: int, shape: Shape = "solid") -> Mask:
    """Dots of a line, (high, columns): each column from its lowest to its highest value, joined to its neighbours."""
    at = columns.count > 0
    edge = _between(columns, axis)
    up = np.vstack([edge[:-1], edge[1:], np.where(at, axis.share(columns.low), np.nan)])
    down = np.vstack([edge[:-1], edge[1:], np.where(at, axis.share(columns.high), np.nan)])
    top, bottom = _row(np.fmax.reduce(down), high), _row(np.fmin.reduce(up), high)
    rows = np.arange(high)[:, None]
    mask: Mask = (rows >= top) & (rows <= bottom)
    return mask & _gaps(top, bottom, high, *RHYTHM[shape]) if shape in RHYTHM else mask


def _between(columns: Columns, axis: Axis) -> Floats:
    """Height of the line half-way between columns, (columns + 1,), NaN where it is broken or has not begun."""
    at = np.flatnonzero(columns.count + columns.bad)
    left, right = ([side] if side else [] for side in (columns.before, columns.after))
    knot = np.array([place for place, _ in left] + [float(place) for place in at] + [place for place, _ in right])
    come = np.array([value for _, value in left] + list(columns.first[at]) + [value for _, value in right])
    leave = np.array([value for _, value in left] + list(columns.last[at]) + [value for _, value in right])
    half = np.arange(len(columns.count) + 1) - 0.5
    if len(knot) < 2:
        return np.full(len(half), np.nan)
    come, leave = axis.share(_finite(come)), axis.share(_finite(leave))
    start = np.clip(np.searchsorted(knot, half) - 1, 0, len(knot) - 2)
    way = (half - knot[start]) / (knot[start + 1] - knot[start])
    height = leave[start] + (come[start + 1] - leave[start]) * way
    return np.where((way >= 0) & (way <= 1), height, np.nan)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _row(share: Floats, high: int) -> NDArray[np.int64]:
    """Row of a share of the height, from the top; -1 for NaN as a lower end, so that the stretch is empty."""
    row = np.rint((1.0 - share) * (high - 1))
    return np.where(np.isnan(row), -1, np.nan_to_num(row)).astype(np.int64)


def _gaps(top: NDArray[np.int64], bottom: NDArray[np.int64], high: int, period: int, drawn: int) -> Mask:
    """The rhythm of a broken line: by columns where it is flat, by rows where it is steep, whose two ends always stay."""
    rows, column = np.arange(high)[:, None], np.arange(len(top))
    by_rows = ((rows - top) % period < drawn) | (rows == bottom)
    return np.where(bottom - top > 1, by_rows, column % period < drawn)


def points(columns: Columns, axis: Axis, high: int) -> Mask:
    """Dots at the lowest and the highest value of each column."""
    mask = np.zeros((high, len(columns.count)), np.bool_)
    at = np.flatnonzero(columns.count)
    for values in (columns.low, columns.high):
        mask[_row(axis.share(values[at]), high), at] = True
    return mask


def braille(mask: Mask) -> Codes:
    """Braille characters of a mask whose sides are multiples of 4 and 2; 0 where a cell has no dot."""
    cells = mask.reshape(mask.shape[0] // 4, 4, mask.shape[1] // 2, 2)
    bits: Codes = np.einsum("aibj,ij->ab", cells, BRAILLE, dtype=np.uint32, casting="unsafe")
    return np.where(bits > 0, bits + 0x2800, 0).astype(np.uint32)
