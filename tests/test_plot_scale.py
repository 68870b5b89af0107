"""Axes, ticks and the part of the time axis in view."""

import math

import numpy as np
import pytest

from cockpit.ui.plot.scale import Axis, grown, nice_step, tick_label, ticks, value_axis, value_label
from cockpit.ui.plot.window import Window


@pytest.mark.parametrize("seed", range(40))
def test_ticks_are_round_few_and_inside(seed: int) -> None:
    random = np.random.default_rng(seed)
    low = float(random.normal() * 10.0 ** random.integers(-6, 6))
    high = low + float(random.random() + 0.01) * 10 ** float(random.integers(-4, 6))
    count = int(random.integers(2, 9))
    found = ticks(low, high, count)
    step = nice_step(high - low, count)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - nice) for nice in (1, 2, 5)) < 1e-6
    assert len(found) <= count + 1
    slack = step * 1e-6
    assert all(low - slack <= value <= high + slack for value in found)
    assert all(abs(value / step - round(value / step)) < 1e-6 for value in found)
    assert found[0] - low < step + slack and high - found[-1] < step + slack


def test_known_ticks() -> None:
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert [round(value, 9) for value in ticks(0.13, 0.58, 4)] == [0.2, 0.4]
    assert Axis(0.01, 100, log=True).ticks(5) == [0.01, 0.1, 1, 10, 100]
    assert Axis(0.1, 3.2, log=True).ticks(5) == pytest.approx([0.1, 0.2, 0.5, 1, 2])
    assert Axis(0.01, 3.2, log=True).ticks(6) == pytest.approx([0.01, 0.03, 0.1, 0.3, 1, 3])
    assert len(Axis(1e-9, 1e3, log=True).ticks(5)) <= 5


def test_labels() -> None:
    shown = {0.0: "0", 0.25: "0.25", 3: "3", 1500: "1500", 20_000: "20k", 2e6: "2e6", 5e-4: "5e-4", -0.5: "-0.5"}
    assert {value: tick_label(value) for value in shown} == shown
    read = {0.412: "0.4120", 12.5: "12.50", 1204: "1204", 31_250: "31250", 3.14e-5: "3.1e-5", 2.5e7: "2.5e7", 0: "0"}
    assert {value: value_label(value) for value in read} == read
    assert value_label(math.nan) == "nan" and value_label(math.inf) == "inf"


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_an_axis_holds_its_values_and_does_not_waste_half(seed: int, log: bool) -> None:
    values = np.exp(np.random.default_rng(seed).normal(0, 1 + seed / 10, 30))
    axis = value_axis(values, log)
    assert axis is not None and axis.low <= values.min() and values.max() <= axis.high
    share = axis.share(values)
    assert share.min() >= 0 and share.max() <= 1
    assert share.max() - share.min() > 0.5


def test_values_that_no_axis_can_hold() -> None:
    assert value_axis(np.array([np.nan, np.inf, -np.inf]), log=False) is None
    assert value_axis(np.array([-1.0, 0.0]), log=True) is None
    level = value_axis(np.array([3.0, 3.0]), log=False)
    assert level is not None and level.low < 3 < level.high
    axis = value_axis(np.array([-1.0, 0.0, 1.0, 10.0]), log=True)
    assert axis is not None and axis.low > 0
    np.testing.assert_array_equal(axis.share(np.array([-1.0, 0.0])), [0, 0])
    wide = value_axis(np.array([1e-300, 1.0]), log=True)
    assert wide is not None and wide.low >= 1e-13


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[1.0, 1.0 + 3e-16], [0.0, 5e-324, 1.0], [-1e308, 1e308, 1.0, 2.0], [1e308, 3.0]])
def test_values_at_the_limits_of_arithmetic(values: list[float], log: bool) -> None:
    axis = value_axis(np.array(values), log)
    assert axis is not None and axis.low < axis.high and np.isfinite(axis.share(np.array(values))).all()
    assert 1 <= len(axis.ticks(5)) <= 6
    alone = value_axis(np.array([0.0, 5e-324]), log)
    assert alone is None if log else alone is not None


def test_the_axis_of_a_run_without_a_plan_grows_seldom() -> None:
    ends = [grown(float(step)) for step in range(1, 10_001)]
    assert all(end >= step for step, end in enumerate(ends, 1))
    assert len(set(ends)) < 50
    assert grown(0.0) == 1.0


def test_zooming_keeps_its_centre_and_stays_on_the_axis() -> None:
    whole = Window(1000.0)
    assert whole.span == (0, 1000)
    near = whole.zoomed(4, newest=800.0)
    assert near.span == (600.0, 850.0)
    assert (800 - near.span[0]) / 250 == pytest.approx(0.8)
    assert near.zoomed(1, 800.0).span == (0, 1000)
    assert near.panned(1).span == (662.5, 912.5) and near.panned(9).span == (750, 1000) and near.panned(-99).span[0] == 0
    assert whole.panned(1) == whole and whole.zoomed(0, 5.0) == whole


def test_the_cursor_stays_in_view() -> None:
    window = Window(100.0).pointed(1000.0, 50)
    assert window.cursor == 99.0
    close = window.zoomed(10, newest=0.0)
    assert close.cursor == 99.0 and close.span[0] <= 99 <= close.span[1]
    moved = close.panned(-4)
    assert moved.cursor is not None and moved.span[0] <= moved.cursor <= moved.span[1]
    shorter = window.of(50.0)
    assert shorter.cursor == 50.0
