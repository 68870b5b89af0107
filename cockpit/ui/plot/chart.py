"""Composes a whole plot on a canvas: title line, value axis, curves, marks, cursor, time axis. No textual here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cockpit.ui.plot.canvas import BLANK, UNICODE, Canvas, Glyphs
from cockpit.ui.plot.raster import line, points
from cockpit.ui.plot.scale import Axis, tick_label, ticks, value_axis, value_label
from cockpit.ui.plot.series import Mark, Series
from cockpit.ui.plot.smooth import WEIGHTS, smooth
from cockpit.ui.plot.thin import Columns, Span
from cockpit.ui.plot.window import Window

TITLE, FOOT = 1, 1
"""Rows above and below the curves."""


@dataclass(frozen=True)
class View:
    """How to look at the curves."""

    window: Window
    log: bool = False
    smoothing: int = 0
    """Index into the weights of `smooth`."""
    x_scale: float = 1.0
    """x of one unit of the time axis: the steps of an epoch."""
    x_unit: str = "epoch"
    y_unit: str = ""
    glyphs: Glyphs = UNICODE

    @property
    def span(self) -> Span:
        """The x range in view."""
        return self.window.span

    @property
    def cursor(self) -> float | None:
        """The x to read out."""
        return self.window.cursor


Curve = tuple[Series, Columns]


def axis_of(curves: Sequence[Curve], view: View, rows: int) -> Axis | None:
    """The value axis that holds every curve in view; None where nothing can be shown on it."""
    seen = [values for _, columns in curves for values in (columns.low, columns.high)]
    axis = value_axis(np.concatenate(seen), view.log, _tick_count(rows)) if seen else None
    if axis is None:  # the view lies between two points: show the line that passes through
        near = [side[1] for _, columns in curves for side in (columns.before, columns.after) if side]
        axis = value_axis(np.array(near, np.float64), view.log, _tick_count(rows))
    return axis


def _tick_count(rows: int) -> int:
    return max(2, rows // 3)


def gutter(axis: Axis, view: View, rows: int) -> int:
    """Width of the labels left of the curves."""
    return 1 + max(len(view.x_unit), *(len(tick_label(value)) for value in axis.ticks(_tick_count(rows))), 4)


def draw(canvas: Canvas, curves: Sequence[Curve], marks: Sequence[Mark], axis: Axis, view: View, left: int) -> None:
    """Draw curves, thinned to the columns of dots right of `left`, on an empty canvas."""
    height, width = canvas.codes.shape
    rows = height - TITLE - FOOT
    _value_axis(canvas, axis, view, left, rows)
    _curves(canvas, curves, axis, view, left, rows)
    _marks(canvas, curves, marks, view, left, rows)
    _time_axis(canvas, view, left)
    _title(canvas, curves, marks, view, width - left)


def _value_axis(canvas: Canvas, axis: Axis, view: View, left: int, rows: int) -> None:
    values = axis.ticks(_tick_count(rows))
    high = rows * view.glyphs.dots[1]
    width = canvas.codes.shape[1]
    for value, share in zip(values, axis.share(np.array(values, np.float64)).tolist(), strict=True):
        row = TITLE + round((1 - share) * (high - 1)) // view.glyphs.dots[1]
        canvas.put(row, 0, tick_label(value).rjust(left - 1), "axis")
        canvas.put(row, left, view.glyphs.grid * (width - left), "grid")


def _curves(canvas: Canvas, curves: Sequence[Curve], axis: Axis, view: View, left: int, rows: int) -> None:
    """Raw bands of smoothed curves lie lowest, then lines, which keep clear of the bands, then single points."""
    high, glyphs = rows * view.glyphs.dots[1], view.glyphs
    bands, lines, dots = [], [], []
    for series, columns in curves:
        if series.style == "points":
            dots.append((glyphs.cells(points(columns, axis, high), series.shape), series.color))
            continue
        mask = line(columns, axis, high, series.shape)
        if view.smoothing and series.shape == "solid":
            bands.append((glyphs.cells(mask, "dotted"), f"faint {series.color}"))
            mask = line(smooth(columns, WEIGHTS[view.smoothing]), axis, high, series.shape)
        lines.append((glyphs.cells(mask, series.shape), series.color))
    for cells, style in bands:
        canvas.lay(TITLE, left, cells, style)
    for cells, _ in lines:
        canvas.codes[TITLE : TITLE + rows, left:][cells > 0] = BLANK
    for cells, style in lines + dots:
        canvas.lay(TITLE, left, cells, style)


def column_of(x: float, span: Span, width: int) -> int | None:
    """The column of cells in which an x lies; None outside the view."""
    share = (x - span[0]) / (span[1] - span[0])
    return min(int(share * width), width - 1) if 0 <= share <= 1 else None


def _marks(canvas: Canvas, curves: Sequence[Curve], marks: Sequence[Mark], view: View, left: int, rows: int) -> None:
    width, glyphs = canvas.codes.shape[1] - left, view.glyphs
    if view.cursor is not None and (column := column_of(view.cursor, view.span, width)) is not None:
        part = np.s_[TITLE : TITLE + rows, left + column]
        free = np.isin(canvas.codes[part], (BLANK, ord(glyphs.grid)))
        canvas.codes[part][free] = ord(glyphs.cursor)
        canvas.paint[part][free] = canvas.style("cursor")
    for mark in marks:
        if (column := column_of(mark.x, view.span, width)) is not None:
            sign, row = (glyphs.edit, TITLE) if mark.kind == "edit" else (glyphs.flag, TITLE + rows - 1)
            canvas.put(row, left + column, sign, mark.color)
    for _, columns in curves:
        for column in set((np.flatnonzero(columns.bad) // glyphs.dots[0]).tolist()):
            canvas.put(TITLE, left + column, glyphs.broken, "error")


def _time_axis(canvas: Canvas, view: View, left: int) -> None:
    height, full = canvas.codes.shape
    width = full - left
    start, end = (side / view.x_scale for side in view.span)
    canvas.put(height - 1, 0, view.x_unit.rjust(left - 1), "axis")
    taken = left - 1
    for value in ticks(start, end, max(2, width // 10)):
        text = tick_label(value)
        column = column_of(min(max(value, start), end), (start, end), width) or 0
        at = min(left + column - (len(text) - 1) // 2, full - len(text))
        if at > taken:
            canvas.put(height - 1, at, text, "axis")
            taken = at + len(text)


def _title(canvas: Canvas, curves: Sequence[Curve], marks: Sequence[Mark], view: View, width: int) -> None:
    """Legend, or what lies under the cursor; on the right, how the curves are shown."""
    full = canvas.codes.shape[1]
    words = [view.y_unit, "log" if view.log else "", f"smooth {view.smoothing}" if view.smoothing else ""]
    state = "  ".join(word for word in [*words, f"zoom {view.window.zoom}x" if view.window.zoom > 1 else ""] if word)
    room = full - len(state) - 2 if state else full
    head = "" if view.cursor is None else f"{view.x_unit} {view.cursor / view.x_scale:.2f}"
    canvas.put(0, 0, head, "title")
    at = len(head) + 2 if head else 0
    for detail, silent in [(2, 0), *((1, silent) for silent in range(len(curves) + 1))]:
        # Where numbers do not all fit, the first curves go without: what is measured on validation comes later.
        readings = [(series, _reading(columns, view, width, detail)) for series, columns in curves]
        entries = [(series, "" if number < silent else text) for number, (series, text) in enumerate(readings)]
        if at + sum(len(_entry(series, text, view)) + 2 for series, text in entries) - 2 <= room:
            break
    for series, text in entries:
        entry = _entry(series, text, view)
        if at + len(entry) > room:
            break
        canvas.put(0, at, entry, "title")
        canvas.put(0, at, view.glyphs.shapes[series.shape], series.color)
        at += len(entry) + 2
    for mark in _marks_at(marks, view, width):
        sign = view.glyphs.edit if mark.kind == "edit" else view.glyphs.flag
        canvas.put(0, at, f"{sign} {mark.label}"[: max(room - at, 0)], mark.color)
        at += len(mark.label) + 4
    canvas.put(0, full - len(state), state, "axis")


def _entry(series: Series, text: str, view: View) -> str:
    return f"{view.glyphs.shapes[series.shape]} {series.label} {text}".rstrip()


def _reading(columns: Columns, view: View, width: int, detail: int) -> str:
    """The last value in view, or that at the cursor (mean of its cell, and its range); less of it for less `detail`."""
    dots = view.glyphs.dots[0]
    cell = width - 1 if view.cursor is None else column_of(view.cursor, view.span, width) or 0
    known = np.flatnonzero(columns.count[: (cell + 1) * dots])
    if not len(known):
        return ""
    if view.cursor is None:
        last = float(columns.last[known[-1]])
        return value_label(last if np.isfinite(last) else float(columns.mean[known[-1]]))
    here = known[known >= cell * dots] if known[-1] >= cell * dots else known[-1:]
    text = value_label(float(columns.total[here].sum() / columns.count[here].sum()))
    low, high = float(columns.low[here].min()), float(columns.high[here].max())
    return f"{text} ({value_label(low)} to {value_label(high)})" if detail == 2 and low < high else text


def _marks_at(marks: Sequence[Mark], view: View, width: int) -> list[Mark]:
    if view.cursor is None:
        return []
    here = column_of(view.cursor, view.span, width)
    return [mark for mark in marks if column_of(mark.x, view.span, width) == here]
