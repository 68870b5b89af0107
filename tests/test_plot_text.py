"""Curves printed as plain text, sparklines, and numbers as people read them."""

import math
import sys
from itertools import pairwise

import numpy as np
import pytest

from cockpit.ui.format import count, duration, percent, plain_terminal, si
from cockpit.ui.plot.series import Series
from cockpit.ui.plot.text import curve_text
from cockpit.ui.widgets.spark import bar, progress, sparkline

X = np.arange(1, 2001)
Y = 2 * np.exp(-X / 500)
BEST = Series("best", X[1500:1501], Y[1500:1501], "points", "success", "marker")


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("size", [(100, 20), (40, 10), (140, 12)])
def test_a_printed_curve_has_the_size_asked_for(size: tuple[int, int], log: bool) -> None:
    lines = curve_text([Series("train", X, Y), BEST], *size, x_scale=100, log=log, ascii=False).splitlines()
    assert len(lines) == size[1] and max(map(len, lines)) == size[0]
    assert lines[0].startswith("── train 0.03") and "◆" in "".join(lines[1:])
    assert lines[-1].split()[0] == "0" and lines[-1].split()[-1] == "20"


def test_a_printed_curve_in_ascii() -> None:
    text = curve_text(
        [Series("train", X, Y), Series("val", X[::200], Y[::200] + 0.5, shape="dotted"), BEST], 60, 14, ascii=True
    )
    assert text.isascii() and "* train" in text and ". val" in text and "@ best" in text
    assert text.count("*") > 40 and text.count(".") > 40


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_hole_in_a_printed_curve_stays_empty(hole: float) -> None:
    y = Y.copy()
    y[800:1200] = hole
    lines = curve_text([Series("train", X, y)], 80, 16, ascii=False).splitlines()[1:-2]
    drawn = [at for at in range(80) if any(len(line) > at and "⠀" < line[at] <= "⣿" for line in lines)]
    gaps = [b - a for a, b in pairwise(drawn) if b - a > 1]
    assert len(gaps) == 1 and 14 <= gaps[0] <= 18


def test_a_spike_in_a_printed_curve_reaches_the_top() -> None:
    y = Y.copy()
    y[1000] = 10.0
    with_spike = curve_text([Series("train", X, y)], 80, 16, ascii=False).splitlines()
    assert any("⠀" < sign <= "⣿" for sign in with_spike[2])


def test_nothing_to_print() -> None:
    assert curve_text([], 80, 16) == "no value to draw"
    assert curve_text([Series("train", X[:2], np.full(2, np.nan))], 80, 16) == "no value to draw"


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8, ascii=False) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, math.nan, 2, math.inf], 6, ascii=False) == "  ▁ █ "
    assert (
        sparkline([1, 10, 100], 3, log=True, ascii=False) == "▁▄█" or sparkline([1, 10, 100], 3, log=True, ascii=False) == "▁▅█"
    )
    assert sparkline([0, -1, 10, 100], 4, log=True, ascii=False) == "  ▁█"
    assert sparkline([], 3) == sparkline([math.nan] * 9, 3) == "   "
    assert sparkline([5, 5], 2, ascii=False) == "▁▁"
    assert sparkline(np.r_[np.zeros(500), 9.0, np.zeros(499)], 10, ascii=False) == "▁▁▁▁▁█▁▁▁▁"
    assert sparkline([0, 7], 2, ascii=True) == "_#"


def test_bars() -> None:
    assert bar(0.5, 8, ascii=False) == "▇▇▇▇    "
    assert bar(0.001, 8, ascii=False) == "▇       "
    assert bar(0, 4, ascii=False) == bar(math.nan, 4) == "    "
    assert bar(7, 4, ascii=True) == "####"
    assert progress(0.5, 10, ascii=False) == "━━━━━─────"
    assert progress(0.45, 10, ascii=False) == "━━━━╸─────"
    assert progress(1.2, 4, ascii=False) == "━━━━" and progress(math.nan, 3, ascii=False) == "───"
    assert progress(0.45, 10, ascii=True) == "====>-----"


def test_numbers() -> None:
    assert [si(value) for value in (0, 0.5, 12, 999, 1204, 9999, 54_321, 3.2e7, 1e10)] == [
        *("0", "0.5", "12", "999", "1.2k", "10k", "54k", "32M", "10G")
    ]
    assert si(math.nan) == "-" and si(-1204) == "-1.2k"
    assert [duration(value) for value in (0, 200, 3725, 90_061, 59.6)] == ["00:00", "03:20", "1:02:05", "1d 01:01", "01:00"]
    assert duration(math.inf) == duration(math.nan) == duration(-1) == "--:--"
    assert count(54_000) == "54,000"
    assert percent(0.38) == "38 %" and percent(0.9876, 1) == "98.8 %" and percent(math.nan) == "-"


class Stream:
    def __init__(self, encoding: str) -> None:
        self.encoding = encoding


@pytest.mark.parametrize(
    ("encoding", "term", "plain"),
    [
        ("utf-8", "xterm-256color", False),
        ("UTF8", "", False),
        ("ascii", "xterm", True),
        ("latin-1", "xterm", True),
        ("utf-8", "dumb", True),
        ("utf-8", "linux", True),
    ],
)
def test_one_function_decides_what_a_terminal_can_show(
    monkeypatch: pytest.MonkeyPatch, encoding: str, term: str, plain: bool
) -> None:
    monkeypatch.setattr(sys, "__stdout__", Stream(encoding))
    monkeypatch.setenv("TERM", term)
    assert plain_terminal() is plain
