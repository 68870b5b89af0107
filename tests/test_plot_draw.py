"""Dots, characters and whole pictures, without a screen."""

from itertools import pairwise

import numpy as np
import pytest

from cockpit.ui.plot.canvas import ASCII, UNICODE, Canvas, Glyphs
from cockpit.ui.plot.chart import Curve, View, axis_of, draw, gutter
from cockpit.ui.plot.raster import braille, line
from cockpit.ui.plot.scale import Axis
from cockpit.ui.plot.series import Mark, Series
from cockpit.ui.plot.smooth import smooth
from cockpit.ui.plot.thin import thin
from cockpit.ui.plot.window import Window


def test_braille_has_each_dot_in_its_place() -> None:
    shown = {(0, 0): "⠁", (1, 0): "⠂", (2, 0): "⠄", (3, 0): "⡀", (0, 1): "⠈", (1, 1): "⠐", (2, 1): "⠠", (3, 1): "⢀"}
    for (row, column), character in shown.items():
        mask = np.zeros((4, 2), np.bool_)
        mask[row, column] = True
        assert chr(braille(mask)[0, 0]) == character
    assert braille(np.zeros((4, 2), np.bool_))[0, 0] == 0
    assert chr(braille(np.ones((4, 2), np.bool_))[0, 0]) == "⣿"


@pytest.mark.parametrize("shape", ["solid", "dotted", "dashed"])
@pytest.mark.parametrize("seed", range(20))
def test_no_spike_vanishes_from_the_dots(seed: int, shape: str) -> None:
    random = np.random.default_rng(seed)
    count, high = int(random.integers(2, 500)), 40
    x, y = np.arange(count), random.normal(size=count)
    y[random.integers(0, count)] = 30.0
    columns, axis = thin(x, y, 60, (0, count - 1)), Axis(-10, 30)
    mask = line(columns, axis, high, shape)
    assert mask[0].any()
    if shape == "solid":
        column = np.minimum((x / (count - 1) * 60).astype(int), 59)
        assert mask[np.rint((30 - y) / 40 * 39).astype(int), column].all()


@pytest.mark.parametrize("seed", range(20))
def test_a_line_has_no_holes(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = np.sort(random.choice(1000, int(random.integers(2, 80)), replace=False))
    mask = line(thin(x, random.normal(size=len(x)), 100, (0, 999)), Axis(-4, 4), 32)
    lit = np.flatnonzero(mask.any(0))
    assert lit.tolist() == list(range(lit[0], lit[-1] + 1))
    rows = [np.flatnonzero(mask[:, column]) for column in lit]
    assert all(len(each) == each[-1] - each[0] + 1 for each in rows)
    assert all(a[0] <= b[-1] + 1 and b[0] <= a[-1] + 1 for a, b in pairwise(rows))


def test_a_value_that_is_not_finite_breaks_the_line() -> None:
    y = np.array([1.0, 1.0, np.nan, 1.0, 1.0])
    broken = line(thin(np.arange(5), y, 50, (0, 4)), Axis(0, 2), 8).any(0)
    whole = line(thin(np.arange(5), y, 50, (0, 4), sparse=True), Axis(0, 2), 8).any(0)
    assert whole.all() and not broken[13:37].any() and broken[:13].all() and broken[37:].all()


def test_a_line_comes_in_from_outside_the_view() -> None:
    x, y = np.array([0, 100]), np.array([0.0, 1.0])
    mask = line(thin(x, y, 10, (40, 60)), Axis(0, 1), 101)
    assert mask.any(0).all()
    assert np.flatnonzero(mask.any(1)).tolist() == list(range(40, 61))


def test_smoothing_is_the_unbiased_moving_average() -> None:
    y = np.array([3.0, 1.0, np.nan, 4.0, 1.0])
    found = smooth(thin(np.arange(5), y, 5, (0, 4)), 0.8)
    weights = {0: [1], 1: [0.8, 1], 3: [0.64, 0.8, 1], 4: [0.512, 0.64, 0.8, 1]}
    for at, weight in weights.items():
        assert found.last[at] == pytest.approx(np.average(y[[0, 1, 3, 4][: len(weight)]], weights=weight))
    assert np.isnan(found.first[2]) and found.low[2] == np.inf


def picture(series: list[Series], view: View, width: int, height: int, marks: tuple[Mark, ...] = ()) -> Canvas:
    canvas, rows = Canvas(width, height), height - 2

    def thinned(left: int) -> list[Curve]:
        columns = (width - left) * view.glyphs.dots[0]
        return [(each, thin(each.x, each.y, columns, view.window.span, each.sparse)) for each in series]

    axis = axis_of(thinned(6), view, rows)
    assert axis is not None
    left = gutter(axis, view, rows)
    draw(canvas, thinned(left), marks, axis, view, left)
    return canvas


def falling() -> list[Series]:
    x = np.arange(1, 161)
    y = 2 * np.exp(-x / 60)
    y[100] = 1.9
    epochs = np.array([40, 80, 120, 160])
    scores = np.array([1.6, 1.1, 0.9, 1.0])
    return [
        Series("train", x, y),
        Series("val", epochs, scores, color="warning", shape="dotted"),
        Series("best", epochs[2:3], scores[2:3], "points", "success", "marker"),
    ]


MARKS = (Mark(60, "optimizer.lr = 0.01"), Mark(150, "overfitting", "warning", "flag"))


def test_a_small_picture() -> None:
    shown = picture(falling(), View(Window(200.0), x_scale=40), 46, 9, MARKS).text()
    assert shown == UNICODE_PICTURE.strip("\n")


def test_a_small_picture_in_ascii() -> None:
    shown = picture(falling(), View(Window(200.0), x_scale=40, glyphs=ASCII), 46, 9, MARKS).text()
    assert shown.isascii()
    assert shown == ASCII_PICTURE.strip("\n")


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_nan_and_infinity_are_marked_at_the_top(glyphs: Glyphs) -> None:
    y = np.linspace(1, 2, 100)
    y[50], y[99] = np.nan, np.inf
    canvas = picture([Series("train", np.arange(100), y)], View(Window(99.0), glyphs=glyphs), 60, 10)
    row = canvas.text().splitlines()[1].ljust(60)
    width = 60 - 6
    assert [at for at, sign in enumerate(row[6:]) if sign == glyphs.broken] == [50 * width // 99, width - 1]


def test_a_log_axis_lays_values_of_zero_and_below_on_its_floor() -> None:
    y = np.concatenate([np.geomspace(10, 0.01, 50), [-1.0, 0.0]])
    canvas = picture([Series("loss", np.arange(52), y)], View(Window(51.0), log=True), 60, 12)
    rows = canvas.text().splitlines()
    assert rows[0].endswith("log")
    assert [row[:5].strip() for row in rows[1:-1] if row[:5].strip()] == ["1", "0.01"]
    assert any("⠀" < sign <= "⣿" for sign in rows[-2][-3:])


def test_smoothing_lays_a_line_over_a_faint_band() -> None:
    random = np.random.default_rng(0)
    series = [Series("train", np.arange(2000), random.normal(size=2000))]
    canvas = picture(series, View(Window(2000.0), smoothing=1), 60, 12)
    painted = [style for row in range(1, 11) for text, style in canvas.runs(row) if text.strip()]
    assert "faint primary" in painted and "primary" in painted
    assert "smooth 1" in canvas.text().splitlines()[0]


def test_the_cursor_reads_the_values_of_its_column() -> None:
    view = View(Window(200.0, cursor=101.0), x_scale=40)
    canvas = picture(falling(), view, 100, 12, (Mark(101, "optimizer.lr = 0.01"),))
    title = canvas.text().splitlines()[0]
    train = falling()[0].y
    low, high, mean = (f"{value:#.4g}" for value in (train[101], train[100], train[99:102].mean()))
    assert title == f"epoch 2.52  ── train {mean} ({low} to {high})  ┄┄ val 1.100  ◆ best  ▾ optimizer.lr = 0.01"
    beside = picture(falling(), View(Window(200.0, cursor=180.0)), 100, 12)
    assert beside.text().count("│") == 10


def test_a_narrow_title_drops_values_then_names() -> None:
    titles = [picture(falling(), View(Window(200.0)), width, 8).text().splitlines()[0] for width in (60, 30, 20)]
    assert titles == ["── train 0.1390  ┄┄ val 1.000  ◆ best 0.9000", "── train  ┄┄ val  ◆ best", "── train  ┄┄ val"]


def test_a_new_point_changes_its_column_only() -> None:
    series = falling()
    fewer = [Series("train", series[0].x[:159], series[0].y[:159]), *series[1:]]
    view = View(Window(200.0), x_scale=40)
    changes = picture(series, view, 100, 20).changes(picture(fewer, view, 100, 20))
    plot = [change for change in changes if change[0] > 0]
    assert sum(width for _, _, width in plot) <= 2
    assert not picture(series, view, 100, 20).changes(picture(series, view, 100, 20))


def test_text_beyond_the_canvas_is_cut_off() -> None:
    canvas = Canvas(5, 2)
    canvas.put(0, -2, "abcd")
    canvas.put(1, 3, "abcd")
    canvas.put(7, 0, "abcd")
    assert canvas.text() == "cd\n   ab"


UNICODE_PICTURE = """
── train 0.1390  ┄┄ val 1.000  ◆ best 0.9000
    2 ⠳⣄┈┈┈┈┈┈┈┈┈┈▾┈┈┈┈┈┈┈⡆┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈
       ⠈⠳⣄⡀   ⠆⠄⡀         ⡇
          ⠙⠦⣄    ⠁⠂⠆⡄⡀    ⡇
    1 ┈┈┈┈┈┈⠈⠓⠦⣄⡀┈┈┈┈⠁⠁⠃⠂⠂⡇⠄⠄⡄◆⡀⡄⠄⠄⠄⠄⠄⠄┈┈┈┈┈┈┈
                ⠉⠓⠲⢤⣀⡀    ⡇
                     ⠉⠉⠓⠒⠦⠧⢤⣀⣀⣀
    0 ┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈⠈⠉⠉⠉⠙⠒▲⠒⠂┈┈┈┈┈┈┈
epoch 0               2               4
"""
ASCII_PICTURE = """
** train 0.1390  .. val 1.000  @ best 0.9000
    2 **          v       *
       ***    . .         *
         ****   . . .     *
    1       *****     . . . . @ . . . .
                *******   *
                      **************
    0                              *^**
epoch 0               2               4
"""
