"""The screen at its sizes: pages, plots, help, the palette, and terminals without Unicode."""

from pathlib import Path

import pytest
import ui_canned
from textual.widgets import OptionList, Static
from ui_driver import WIDE, on_screen, opened, orders, text, until

from cockpit.runs import events as ev
from cockpit.ui.panes.pages import PageName
from cockpit.ui.panes.rates import RatesPane
from cockpit.ui.plot.widget import CurvePlot
from cockpit.ui.screens.cockpit import CockpitScreen

pytestmark = pytest.mark.usefixtures("canned_cards")


@pytest.mark.parametrize(
    ("size", "pages", "shown"),
    [(WIDE, False, 9), ((80, 24), True, 2), ((40, 12), True, 1)],
)
async def test_sizes(runs: Path, size: tuple[int, int], pages: bool, shown: int) -> None:
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, size) as pilot:
        panes = app.screen.query(".pane")
        assert app.screen.query_one("Pages").display is pages
        assert len([pane for pane in panes if pane.size.area]) == shown - (not pages)
        for key in "tflam":
            await pilot.press(key)
            await pilot.pause()
            pane = app.screen.query_one({"t": "#tricks", "f": "#flags", "l": "#layers", "a": "#data", "m": "#machine"}[key])
            assert pane.size.area and pane.region.right <= size[0] and pane.region.bottom <= size[1]


async def test_pages_are_clicked(runs: Path) -> None:
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, (80, 24)) as pilot:
        await pilot.click(next(name for name in app.screen.query(PageName) if name.page == "flags"))
        assert app.screen.query_one("#flags").size.area


async def test_plot_keys_and_rates(runs: Path) -> None:
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, WIDE) as pilot:
        loss = app.screen.query_one("#loss CurvePlot", CurvePlot)
        whole = loss.window
        await pilot.press("g", "up", "left")
        assert loss.log_scale and loss.window != whole
        await pilot.press("escape")
        assert loss.window == whole
        await pilot.press("x")
        assert "grad norm" in app.screen.query_one(RatesPane).shown_tab


async def test_help_and_palette_list_every_key(runs: Path) -> None:
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, WIDE) as pilot:
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Pause", "Save", "Edit knobs", "Log scale", "Remedy", "Theme", "Vault", "Quit"} <= titles
        assert "Start" not in titles  # nothing is offered that means nothing now
        await pilot.press("question_mark")
        shown = text(app, ".dialog Static")
        assert all(words in shown for words in ("Write a checkpoint now", "ctrl+t", "Zoom in", "Edit the knobs"))


async def test_a_palette_command_is_run(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE):
        save = next(command for command in app.get_system_commands(app.screen) if command.title == "Save")
        await save.callback()
        assert orders(run) == [("checkpoint", {})]


async def test_nothing_is_drawn_where_nothing_is_new(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        assert isinstance(app.screen, CockpitScreen)
        helm = app.screen.helm
        await until(pilot, lambda: helm.later is not None)
        assert helm.poll() is False
        ui_canned.tell(run, ev.Noted(step=1, text="news"))
        assert helm.poll() is True


@pytest.mark.parametrize("size", [(160, 48), (80, 24)])
async def test_a_terminal_without_unicode_is_served(runs: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setenv("TERM", "dumb")
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, size) as pilot:
        for key in "ptflam":
            await pilot.press(key)
            lines = app.screen._compositor.render_strips()
            assert [line.text for line in lines if not line.text.isascii()] == []


async def test_the_summary_takes_the_height_it_needs_after_every_resize(runs: Path, recipe: str) -> None:
    app = opened(runs, recipe=recipe)
    async with on_screen(app, WIDE) as pilot:
        box = app.screen.query_one("#summary", Static)
        for size in ((40, 12), WIDE):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.2)
        await until(pilot, lambda: box.content_size.height == len(str(box.content).splitlines()))


@pytest.mark.parametrize(("size", "shown"), [((80, 24), True), ((40, 12), False)])
async def test_the_ways_out_come_first_where_room_is_short(runs: Path, size: tuple[int, int], shown: bool) -> None:
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, size) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: bool(app.screen.query_one("#flags OptionList", OptionList).option_count))
        await pilot.pause(0.1)
        said = str(app.screen.query_one("#flags OptionList", OptionList).get_option_at_index(0).prompt)
        assert "[4] decay the weights" in said
        assert ("best val loss" in said) is shown
