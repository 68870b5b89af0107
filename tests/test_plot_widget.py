"""The curve widget in a running application."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.events import MouseScrollUp
from textual.geometry import Region

from cockpit.runs.tables import STEPS
from cockpit.ui.plot import CurvePlot, Mark, Series

SIZES = ((100, 20), (40, 10))


class Board(App[None]):
    def compose(self) -> ComposeResult:
        yield CurvePlot()

    @property
    def plot(self) -> CurvePlot:
        return self.query_one(CurvePlot)

    def rows(self) -> list[str]:
        plot = self.plot
        return [plot.render_line(row).text for row in range(plot.size.height)]


def curves(count: int = 500) -> list[Series]:
    table = np.zeros(count, STEPS)
    table["step"] = np.arange(1, count + 1)
    table["loss"] = 2 * np.exp(-table["step"] / 200)
    epochs = np.arange(100, count + 1, 100)
    return [
        Series("train", table["step"], table["loss"]),
        Series("val", epochs, 2 * np.exp(-epochs / 250), color="warning", shape="dotted"),
    ]


def show(app: Board, series: Sequence[Series], marks: Sequence[Mark] = ()) -> None:
    app.plot.show(series, marks, 1000, x_scale=100)


@pytest.mark.parametrize("size", SIZES)
async def test_curves_fill_the_widget(size: tuple[int, int]) -> None:
    app = Board()
    async with app.run_test(size=size) as pilot:
        show(app, curves(), [Mark(300, "optimizer.lr = 0.01"), Mark(400, "overfitting", "warning", "flag")])
        await pilot.pause()
        rows = app.rows()
        assert all(len(row) == size[0] for row in rows)
        assert rows[0].startswith("── train 0.1642  ┄┄ val 0.2707")
        assert rows[-1].split()[:2] == ["epoch", "0"] and rows[-1].endswith("10")
        assert "▾" in rows[1] and "▲" in rows[-2]
        assert any("⠀" < sign <= "⣿" for row in rows[1:-1] for sign in row)


async def test_what_is_shown_where_there_is_nothing_to_show() -> None:
    app = Board()
    async with app.run_test(size=(60, 10)) as pilot:
        for series, words in (
            ([], "waiting for the first step"),
            (curves(0), "waiting for the first step"),
            ([Series("train", np.arange(3), np.full(3, np.nan))], "every value is NaN or infinite"),
        ):
            show(app, series)
            await pilot.pause()
            assert "".join(app.rows()).strip() == words
        show(app, [Series("train", np.arange(3), np.zeros(3))])
        app.plot.toggle_log()
        await pilot.pause()
        assert "".join(app.rows()).strip() == "no value above 0: a log axis cannot show it"
        app.plot.styles.height = 2
        app.plot.toggle_log()
        await pilot.pause()
        assert "".join(app.rows()).strip() == "too small to draw"


async def test_a_new_point_refreshes_its_cells_only(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Board()
    async with app.run_test(size=(100, 20)) as pilot:
        series = curves(500)
        show(app, [Series("train", series[0].x[:480], series[0].y[:480]), series[1]])
        await pilot.pause()
        asked: list[tuple[Region, ...]] = []
        monkeypatch.setattr(app.plot, "refresh", lambda *regions: asked.append(regions))
        show(app, series)
        show(app, series)
        assert len(asked) == 1
        curve = [region for region in asked[0] if region.y > 0]
        assert curve and sum(region.area for region in curve) <= 6


async def test_keys_change_the_picture_and_back() -> None:
    app = Board()
    async with app.run_test(size=(100, 20)) as pilot:
        show(app, curves())
        await pilot.pause()
        plain, plot = app.rows(), app.plot
        plot.toggle_log()
        assert app.rows()[0].rstrip().endswith("log")
        plot.toggle_log()
        plot.cycle_smoothing()
        assert app.rows()[0].rstrip().endswith("smooth 1")
        plot.cycle_smoothing()
        plot.cycle_smoothing()
        plot.zoom_in()
        plot.zoom_in()
        assert app.rows()[0].rstrip().endswith("zoom 4x")
        zoomed = app.rows()
        plot.pan(-1)
        assert app.rows()[-1] != zoomed[-1]
        plot.move_cursor(0)
        assert app.rows()[0].startswith("epoch 5.0")
        for _ in range(3):
            plot.move_cursor(-1)
        assert app.rows()[0].startswith("epoch 4.9")
        plot.show_whole()
        assert app.rows() == plain


async def test_a_run_longer_than_planned_stays_on_the_plot() -> None:
    app = Board()
    async with app.run_test(size=(100, 20)) as pilot:
        app.plot.show(curves(500), x_max=400, x_scale=100)
        await pilot.pause()
        assert app.rows()[-1].split() == ["epoch", "0", "1", "2", "3", "4", "5"]


async def test_the_mouse_reads_out_and_zooms() -> None:
    app = Board()
    async with app.run_test(size=(100, 20)) as pilot:
        show(app, curves())
        await pilot.pause()
        await pilot.click(CurvePlot, offset=(53, 10))
        assert app.rows()[0].startswith("epoch 5.05")
        app.plot.clear_cursor()
        await pilot._post_mouse_events([MouseScrollUp], CurvePlot, offset=(53, 10))
        assert app.rows()[0].rstrip().endswith("zoom 2x")


async def test_colours_come_from_the_theme() -> None:
    app = Board()
    async with app.run_test(size=(100, 20)) as pilot:
        show(app, curves())
        for theme in ("textual-dark", "nord", "textual-light"):
            app.theme = theme
            await pilot.pause()
            legend = next(iter(app.plot.render_line(0)))
            assert legend.text == "──" and legend.style is not None and legend.style.color is not None
            assert legend.style.color.get_truecolor().hex == app.theme_variables["primary"].lower()


async def test_a_terminal_that_knows_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "linux")
    app = Board()
    async with app.run_test(size=(60, 12)) as pilot:
        show(app, curves(), [Mark(300, "optimizer.lr = 0.01")])
        app.plot.move_cursor(0)
        await pilot.pause()
        shown = "\n".join(app.rows())
        assert shown.isascii() and "*" in shown and "v" in shown and "|" in shown


async def test_another_size_draws_the_same_curves() -> None:
    app = Board()
    async with app.run_test(size=SIZES[0]) as pilot:
        show(app, curves())
        await pilot.pause()
        wide = app.rows()
        await pilot.resize_terminal(*SIZES[1])
        await pilot.pause()
        assert len(app.rows()) == 10 and len(app.rows()[0]) == 40
        await pilot.resize_terminal(*SIZES[0])
        await pilot.pause()
        assert app.rows() == wide


def test_the_package_loads_textual_only_for_the_widget() -> None:
    code = "import sys, cockpit.ui.plot.text as t, cockpit.ui.plot as p; print('textual' in sys.modules, p.CurvePlot.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "CurvePlot"]
