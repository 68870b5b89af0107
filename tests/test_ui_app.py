"""Flows through the application on canned runs: what is seen, and what is sent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import recipe_catalog
import ui_canned
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from cockpit import catalog
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.mailbox import take
from cockpit.ui import helm as helms
from cockpit.ui.app import CockpitApp
from cockpit.ui.panes.pages import PageName
from cockpit.ui.panes.rates import RatesPane
from cockpit.ui.panes.tricks import TricksPane
from cockpit.ui.plot.widget import CurvePlot
from cockpit.ui.screens.ask import Ask
from cockpit.ui.screens.cockpit import CockpitScreen
from cockpit.ui.screens.knobs import KnobForm
from cockpit.ui.screens.launch import LaunchScreen
from cockpit.ui.screens.member import ChooseMember
from cockpit.ui.screens.opening import Opening
from cockpit.ui.screens.reading import Reading

WIDE = (118, 36)


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "catalog", lambda: recipe_catalog.CARDS)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "canned.yaml"
    path.write_text(ui_canned.RECIPE, encoding="utf-8")
    return str(path)


def opened(runs: Path, **given: Any) -> CockpitApp:
    runs.mkdir(parents=True, exist_ok=True)
    return CockpitApp(runs=runs, now=lambda: ui_canned.NOW, **given)


@asynccontextmanager
async def on_screen(app: CockpitApp, size: tuple[int, int]) -> AsyncIterator[Pilot[Any]]:
    """The application at a size, past the frame that names the run while it is read."""
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: not isinstance(app.screen, Opening) and app.screen.is_mounted)
        await pilot.pause()
        yield pilot


async def until(pilot: Pilot[Any], holds: Callable[[], bool]) -> None:
    """Let the application work until something holds; how long that takes is no business of a test."""
    for _ in range(400):
        if holds():
            return
        await pilot.pause(0.02)
    raise AssertionError("it never came to hold")


def text(app: CockpitApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).content)


def orders(run: RunDir) -> list[tuple[str, dict[str, str]]]:
    return [(command.verb, command.args) for command in take(run.mailbox) if not isinstance(command, str)]


async def highlight(pilot: Pilot[Any], path: str) -> None:
    listed = pilot.app.screen.query_one("#tricks OptionList", OptionList)
    listed.highlighted = listed.get_option_index(path)
    await pilot.pause()


async def test_launch_lists_presets_and_runs_and_attaches(runs: Path) -> None:
    ui_canned.write_run(runs)
    app = opened(runs)
    async with on_screen(app, WIDE) as pilot:
        choices = app.screen.query_one("#choices", OptionList)
        await until(pilot, lambda: any("training" in str(option.prompt) for option in choices.options))
        assert "first_flight" in str(choices.highlighted_option.prompt)  # type: ignore[union-attr]
        choices.highlighted = choices.option_count - 1
        await pilot.press("enter")
        assert isinstance(app.screen, CockpitScreen)
        assert "fashion_cnn" in text(app, "#header")
        await pilot.press("d")
        assert isinstance(app.screen, LaunchScreen)


async def test_launch_filter(runs: Path) -> None:
    ui_canned.write_run(runs)
    ui_canned.write_run(runs / "..", name="other")
    app = opened(runs)
    async with on_screen(app, WIDE) as pilot:
        choices = app.screen.query_one("#choices", OptionList)
        await until(pilot, lambda: any("7f3a" in str(option.prompt) for option in choices.options))
        await pilot.press("slash", *"trainin")
        shown = [str(option.prompt) for option in choices.options if option.id]
        assert len(shown) == 1 and "fashion_cnn" in shown[0]


async def test_a_preset_opens_ready_is_edited_and_starts(runs: Path, recipe: str) -> None:
    flown: list[RunDir] = []
    app = opened(runs, recipe=recipe, edits=["optimizer.lr=0.2"], starter=flown.append)
    async with on_screen(app, WIDE) as pilot:
        assert "ready" in text(app, "#header")
        await pilot.press("t")
        await highlight(pilot, "tricks.random_flip")
        await pilot.press("space")
        await pilot.press("p", "enter")
        await until(pilot, lambda: bool(flown))
        written = flown[0].recipe.read_text(encoding="utf-8")
        assert "random_flip: on" in written and "lr: 0.2" in written
        assert "starting" in text(app, "#header")
        ui_canned.beat(flown[0].heartbeat, "running", 0)
        ui_canned.tell(flown[0], *ui_canned.story(1))
        await until(pilot, lambda: "training" in text(app, "#header"))


async def test_a_toggle_on_a_running_run_goes_through_the_mailbox(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("t")
        await highlight(pilot, "tricks.mixup")
        await pilot.press("space")
        assert orders(run) == [("edit", {"path": "tricks.mixup", "value": "off"})]
        ui_canned.tell(
            run,
            ev.Edited(step=2941, path="tricks.mixup", old="on", new="off", live=True),
            ev.Commanded(step=2941, id="1", verb="edit", ok=True),
        )
        rows = app.screen.query_one(TricksPane)
        await until(pilot, lambda: bool(rows.selected and rows.selected.label == "mixup" and not rows.selected.on))
        await until(pilot, lambda: any("tricks.mixup = off: holds from now on" in note.message for note in app._notifications))


async def test_an_edit_that_waits_is_shown_as_such_and_carried_to_the_new_run(runs: Path) -> None:
    run = ui_canned.write_run(runs, more=(ev.Edited(step=9, path="tricks.weight_ema", old="off", new="on", live=False),))
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        pane = app.screen.query_one(TricksPane)
        await pilot.press("t")
        await highlight(pilot, "tricks.weight_ema")
        assert pane.selected and not pane.selected.on and pane.selected.waiting == "on"
        ui_canned.tell(run, ev.Ended(step=2940, state="stopped", reason="asked"))
        await until(pilot, lambda: app.screen.query_one("#summary").display)
        assert "1 edit for the next run" in text(app, "#summary")
        await pilot.press("n")
        assert isinstance(app.screen, CockpitScreen)
        assert app.screen.helm.now and "weight_ema" in app.screen.helm.now.tricks


async def test_a_knob_form_says_what_is_wrong_and_takes_what_is_right(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("t")
        await highlight(pilot, "optimizer")
        await pilot.press("e")
        assert isinstance(app.screen, KnobForm)
        field = app.screen.query_one("#knob-momentum", Input)
        field.value = "1.5"
        await until(pilot, lambda: "below 1" in text(app, ".fault") or "[0, 1)" in text(app, ".fault"))
        await pilot.press("enter")
        assert isinstance(app.screen, KnobForm)
        field.value = "0.95"
        await until(pilot, lambda: not text(app, ".fault"))
        await pilot.press("enter")
        assert isinstance(app.screen, CockpitScreen)
        assert orders(run) == [("edit", {"path": "optimizer.momentum", "value": "0.95"})]


async def test_a_choice_offers_its_members(runs: Path, recipe: str) -> None:
    app = opened(runs, recipe=recipe)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("t", "enter")
        assert isinstance(app.screen, ChooseMember)
        await pilot.press("down", "enter")
        assert isinstance(app.screen, CockpitScreen)
        assert app.screen.helm.now and app.screen.helm.now.optimizer.card.name == "adam"


async def test_a_conflict_is_refused_with_its_reason(runs: Path, recipe: str) -> None:
    app = opened(runs, recipe=recipe)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("t")
        await highlight(pilot, "tricks.cutmix")
        assert "a batch is mixed once" in text(app, "#tricks .card")
        await pilot.press("space")
        await until(pilot, lambda: any("a batch is mixed once" in note.message for note in app._notifications))
        assert isinstance(app.screen, CockpitScreen)
        assert app.screen.helm.now and "cutmix" not in app.screen.helm.now.tricks


async def test_tricks_filter_and_card(runs: Path) -> None:
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("t", "slash", *"mixing", "enter")
        ids = [option.id for option in app.screen.query_one("#tricks OptionList", OptionList).options if option.id]
        assert ids == ["tricks.cutmix", "tricks.mixup"]
        await pilot.press("i")
        assert isinstance(app.screen, Reading)
        await pilot.press("escape", "escape")
        assert app.screen.query_one("#tricks OptionList", OptionList).option_count > 10


async def test_a_remedy_shows_what_it_does_before_it_does_it(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("f", "2")
        assert isinstance(app.screen, Ask)
        words = text(app, ".dialog Static")
        assert "set tricks.label_smoothing.epsilon to 0.1 (in the next run)" in words
        assert orders(run) == []
        await pilot.press("y")
        assert orders(run) == [("edit", {"path": "tricks.label_smoothing.epsilon", "value": "0.1"})]
        await pilot.press("1", "y")
        assert orders(run) == [("stop", {})]


async def test_commands_of_a_live_run(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("space", "c", "s")
        assert isinstance(app.screen, Ask)
        await pilot.press("s")
        assert [verb for verb, _ in orders(run)] == ["pause", "checkpoint", "stop"]
        ui_canned.beat(run.heartbeat, "paused", 2940)
        await until(pilot, lambda: "paused" in text(app, "#header"))
        await pilot.press("space")
        assert orders(run) == [("continue", {})]


@pytest.mark.parametrize(("key", "sent"), [("d", []), ("s", [("stop", {})]), ("c", [])])
async def test_quitting_a_live_run_asks(runs: Path, key: str, sent: list[Any]) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("q")
        assert isinstance(app.screen, Ask)
        await pilot.press(key)
        assert orders(run) == sent
        assert app._exit is (key != "c")


async def test_quitting_in_process_says_that_it_stops_the_run(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run, starter=lambda started: None)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("q")
        assert "quitting stops it" in text(app, ".dialog Static")
        await pilot.press("s")
        assert orders(run) == [("stop", {})] and not app._exit
        ui_canned.tell(run, ev.Ended(step=2940, state="stopped"))
        await until(pilot, lambda: app._exit)


async def test_an_ended_run_keeps_its_screen_and_quits_without_a_question(runs: Path) -> None:
    end = ev.Ended(step=4200, state="finished", epoch=10, kept="best")
    app = opened(runs, run=ui_canned.write_run(runs, epochs=10, state=None, more=(end,)))
    async with on_screen(app, WIDE) as pilot:
        assert "epoch 4" in text(app, "#summary") and "checkpoints" in text(app, "#summary")
        await pilot.press("space", "q")
        assert app._exit


async def test_a_lost_run_shows_the_last_words_of_its_host(runs: Path) -> None:
    run = ui_canned.write_run(runs, state=None)
    run.heartbeat.write_text('{"pid": 1, "born": 0, "host": "elsewhere", "time": 0, "state": "running", "step": 9}')
    run.log.write_text("epoch 7\n\x1b[31mKilled [bold]\n")
    app = opened(runs, run=run)
    async with on_screen(app, WIDE):
        assert "lost" in text(app, "#header") and "Killed [bold]" in text(app, "#header")
        assert "\x1b" not in text(app, "#header")


async def test_a_host_that_cannot_start_is_told(runs: Path, recipe: str) -> None:
    def broken(run: RunDir) -> None:
        raise OSError("no such interpreter")

    app = opened(runs, recipe=recipe, starter=broken)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: any("no such interpreter" in note.message for note in app._notifications))


async def test_the_vault_is_opened_only_after_a_confirmation(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ui_canned.write_run(runs)
    looked: list[RunDir] = []

    def score(run: RunDir) -> str:
        looked.append(run)
        ui_canned.look(run, 0.9123)
        return ""

    monkeypatch.setattr("cockpit.ui.screens.orders.open_vault", score)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("v")
        assert "0 looks so far" in text(app, ".dialog Static")
        await pilot.press("enter")  # the cursor stands on cancel
        assert not looked
        await pilot.press("v", "o")
        await until(pilot, lambda: "opened · 1 look · 91.23 %" in text(app, "#data Static"))


def test_a_vault_that_stays_shut_says_why(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helms.sys, "executable", "false")
    assert helms.open_vault(ui_canned.write_run(runs)) == "cockpit test ended with status 1"


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
