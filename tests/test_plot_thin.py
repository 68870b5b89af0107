"""Thinning, against a plain loop over the points."""

import math
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from cockpit.runs.tables import STEPS
from cockpit.ui.plot.thin import Columns, Span, Thinner, merge, thin


def slow(x: NDArray, y: NDArray, columns: int, span: Span, sparse: bool) -> Columns:
    """One point after another into the column whose left edge is the last one not beyond it."""
    edges = [span[0] + (span[1] - span[0]) * index / columns for index in range(columns)]
    count, bad = np.zeros(columns, np.int64), np.zeros(columns, np.int64)
    first, last, total = np.full(columns, np.nan), np.full(columns, np.nan), np.zeros(columns)
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    before = after = None
    for place, value in zip(x.tolist(), y.tolist(), strict=True):
        if sparse and math.isnan(value):
            continue
        at = (place - span[0]) / (span[1] - span[0]) * columns - 0.5, value
        if place < span[0]:
            before = at
        elif place > span[1]:
            after = after or at
        else:
            column = sum(edge <= place for edge in edges) - 1
            if not count[column] + bad[column]:
                first[column] = value
            last[column] = value
            if math.isfinite(value):
                count[column] += 1
                total[column] += value
                low[column], high[column] = min(low[column], value), max(high[column], value)
            else:
                bad[column] += 1
    return Columns(count, bad, first, last, low, high, total, before, after)


def same(one: Columns, other: Columns) -> None:
    for field in fields(Columns):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if field.name in ("before", "after"):
            assert (left is None) == (right is None), field.name
            left, right = left or (), right or ()
        if field.name == "total":
            np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-9)
        else:
            np.testing.assert_array_equal(left, right, err_msg=field.name)


def curve(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """Points as the run directory gives them: strided views of a table, with holes of every kind."""
    table = np.zeros(count, STEPS)
    table["step"] = np.cumsum(random.integers(1, 4, count))
    table["loss"] = random.standard_normal(count)
    for hole in (np.nan, np.inf, -np.inf):
        table["loss"][random.random(count) < random.choice([0, 0.05, 0.6])] = hole
    x = table["step"] if random.random() < 0.7 else table["step"].astype(np.float64) / 7
    return x, table["loss"]


@pytest.mark.parametrize("seed", range(60))
def test_thinning_equals_a_plain_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = curve(random, int(random.integers(0, 300)))
    end = float(x[-1]) if len(x) else 5.0
    span = (0.0, end * 1.5) if seed % 2 else (end * 0.25, end * 0.6)
    columns, sparse = int(random.integers(1, 90)), bool(seed % 3 == 0)
    same(thin(x, y, columns, span, sparse), slow(x, y, columns, span, sparse))


@pytest.mark.parametrize("seed", range(30))
def test_points_appended_bit_by_bit_give_the_same_columns(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = curve(random, 400)
    span, columns, sparse = (float(x[20]), float(x[350])), int(random.integers(1, 60)), bool(seed % 2)
    thinner, have = Thinner(), 0
    while have < len(x):
        have = min(have + int(random.integers(0, 40)), len(x))
        kept = thinner.update(x[:have], y[:have], columns, span, sparse)
        same(kept, thin(x[:have], y[:have], columns, span, sparse))
    assert thinner.update(x, y, columns, span, sparse) is kept


def test_a_run_that_went_back_and_trained_anew_is_thinned_anew() -> None:
    x = np.arange(100)
    old, new = np.ones(100, np.float32), np.ones(100, np.float32)
    new[60:] = 2.0
    thinner = Thinner()
    thinner.update(x[:80], old[:80], 10, (0, 100))
    same(thinner.update(x[:70], old[:70], 10, (0, 100)), thin(x[:70], old[:70], 10, (0, 100)))
    thinner.update(x[:80], old[:80], 10, (0, 100))
    # Cut back and grown past the old end between two polls: only the values tell.
    same(thinner.update(x, new, 10, (0, 100)), thin(x, new, 10, (0, 100)))


def test_only_the_appended_points_are_read() -> None:
    class Watched(np.ndarray):
        longest = 0

        def __getitem__(self, key: object) -> object:
            found = super().__getitem__(key)
            Watched.longest = max(Watched.longest, np.size(found))
            return found

    x, y = np.arange(10_000), np.zeros(10_000, np.float32).view(Watched)
    thinner = Thinner()
    thinner.update(x[:9_900], y[:9_900], 50, (0, 10_000))
    grown_x, grown_y = x[:], y[:]
    Watched.longest = 0
    thinner.update(grown_x, grown_y, 50, (0, 10_000))
    assert Watched.longest == 100


def test_one_spike_among_many_points_stays() -> None:
    y = np.zeros(100_000, np.float32)
    y[54_321], y[12_345] = 7.0, -3.0
    columns = thin(np.arange(100_000), y, 80, (0, 100_000))
    assert columns.high.max() == 7.0 and columns.low.min() == -3.0
    assert np.flatnonzero(columns.high).tolist() == [54_321 * 80 // 100_000]


def test_merging_with_nothing_changes_nothing() -> None:
    x, y = curve(np.random.default_rng(1), 50)
    whole, nothing = thin(x, y, 9, (0, 60)), thin(x[:0], y[:0], 9, (0, 60))
    same(merge(whole, nothing), whole)
    same(merge(nothing, whole), whole)


@pytest.mark.parametrize("span", [(0, 60), (20, 31), (50, 90), (70, 90)])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_long_curve_is_thinned_in_parts(monkeypatch: pytest.MonkeyPatch, span: tuple[float, float], sparse: bool) -> None:
    monkeypatch.setattr("cockpit.ui.plot.thin.PART", 7)
    x, y = curve(np.random.default_rng(2), 60)
    y[3:20] = np.nan
    same(Thinner().update(x, y, 9, span, sparse), thin(x, y, 9, span, sparse))
