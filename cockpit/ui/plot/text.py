"""The same curves as plain text, framed, for commands that print: drawn by plotext, without textual."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from cockpit.ui.format import plain_terminal
from cockpit.ui.plot.scale import Axis, grown, tick_label, ticks, value_axis, value_label
from cockpit.ui.plot.series import Series, Shape
from cockpit.ui.plot.thin import Columns, Span, thin

MARKERS: dict[Shape, str] = {"solid": "braille", "dashed": "-", "dotted": "·", "marker": "◆"}
ASCII_MARKERS: dict[Shape, str] = {"solid": "*", "dashed": "-", "dotted": ".", "marker": "@"}
SIGNS: dict[Shape, str] = {"solid": "──", "dashed": "--", "dotted": "··", "marker": "◆"}


def curve_text(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    x_max: float | None = None,
    x_scale: float = 1.0,
    log: bool = False,
    ascii: bool | None = None,
) -> str:
    """Curves as lines of text, a legend above them; `x_scale` is the x of one unit of the time axis."""
    plain = plain_terminal() if ascii is None else ascii
    newest = max((float(curve.x[-1]) for curve in series if len(curve.x)), default=0.0)
    span = (0.0, x_max or grown(newest))
    curves = [(curve, thin(curve.x, curve.y, 2 * width, span, curve.sparse)) for curve in series]
    seen = np.concatenate([ends for _, columns in curves for ends in (columns.low, columns.high)] or [np.empty(0)])
    axis = value_axis(seen, log, max(2, height // 4))
    if axis is None:
        return "no value to draw"
    drawn = _framed(curves, axis, (span[0] / x_scale, span[1] / x_scale), width, height - 1, plain)
    text = "\n".join(line.rstrip() for line in [_legend(curves, plain), *drawn.splitlines()])
    return _to_ascii(text) if plain else text


def _framed(curves: Sequence[tuple[Series, Columns]], axis: Axis, span: Span, width: int, height: int, plain: bool) -> str:
    import plotext  # 50 ms, and only the commands that print a curve need it

    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.theme("colorless")
    marks = ticks(*span, max(2, width // 12)), axis.ticks(max(2, height // 4))
    for name, ends, values in (("x", span, marks[0]), ("y", _heights([axis.low, axis.high], axis), marks[1])):
        ruler = figure.ruler(name)
        ruler.lim(*ends)
        ruler.ticks(values if name == "x" else _heights(values, axis), [tick_label(value) for value in values])
    for curve, columns in curves:
        marker = (ASCII_MARKERS if plain else MARKERS)[curve.shape]
        for x, y in _stretches(columns, axis, span):
            figure.draw(figure.signal(x, y, marker=marker).lines(curve.style == "line"))
    drawn: str = figure.build().string(colorless=True)
    return drawn


def _stretches(columns: Columns, axis: Axis, span: Span) -> Iterator[tuple[list[float], list[float]]]:
    """The unbroken parts of a curve as points: four a column at most. (One NaN makes plotext 6.1 abort the process.)"""
    held = np.flatnonzero(columns.count + columns.bad)
    place = span[0] + (held + 0.5) / len(columns.count) * (span[1] - span[0])
    values = np.stack([columns.first, columns.low, columns.high, columns.last])[:, held].T.ravel()
    place, good = np.repeat(place, 4), np.isfinite(values)
    cuts = [0, *(np.flatnonzero(np.diff(good)) + 1).tolist(), len(good)]
    for start, end in pairwise(cuts):
        if start < end and good[start]:
            yield place[start:end].tolist(), _heights(values[start:end].tolist(), axis)


def _heights(values: Sequence[float], axis: Axis) -> list[float]:
    """Where values stand on a linear axis: plotext's own log scale knows no value of 0 and below."""
    heights: list[float] = np.log10(np.maximum(values, axis.low)).tolist() if axis.log else list(values)
    return heights


def _legend(curves: Sequence[tuple[Series, Columns]], plain: bool) -> str:
    words = []
    for curve, columns in curves:
        sign = ASCII_MARKERS[curve.shape] if plain else SIGNS[curve.shape]
        known = np.flatnonzero(columns.count)
        last = value_label(float(columns.mean[known[-1]])) if len(known) else "-"
        words.append(f"{sign} {curve.label} {last}")
    return "  ".join(words)


def _to_ascii(text: str) -> str:
    return text.translate(str.maketrans("─│┌┐└┘┤┬├┴", "-|++++++++"))
