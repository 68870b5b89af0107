"""Flows through the application on canned runs: what is seen, and what is sent."""

from pathlib import Path
from typing import Any

import pytest
import ui_canned
from textual.pilot import Pilot
from textual.widgets import Input, OptionList
from ui_driver import WIDE, highlight, on_screen, opened, orders, text, until

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.ui import helm as helms
from cockpit.ui.app import CockpitApp
from cockpit.ui.model.ways import Way
from cockpit.ui.panes.flags import FlagsPane
from cockpit.ui.panes.tricks import TricksPane
from cockpit.ui.screens.ask import Ask
from cockpit.ui.screens.cockpit import CockpitScreen
from cockpit.ui.screens.knobs import KnobForm
from cockpit.ui.screens.launch import LaunchScreen
from cockpit.ui.screens.member import ChooseMember
from cockpit.ui.screens.reading import Reading

pytestmark = pytest.mark.usefixtures("canned_cards")


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


async def flags_read(app: CockpitApp, pilot: Pilot[Any]) -> FlagsPane:
    """The flags pane with the focus, once the recipe has been read and the ways are known."""
    await pilot.press("f")
    pane = app.screen.query_one(FlagsPane)
    await until(pilot, lambda: bool(pane.selected and Way.ROLLBACK in pane.selected.ways))
    return pane


async def test_a_remedy_shows_what_it_does_before_it_does_it(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await flags_read(app, pilot)
        await pilot.press("3")
        assert isinstance(app.screen, Ask)
        words = text(app, ".dialog Static")
        assert "set optimizer.lr to 0.005" in words and "its last healthy checkpoint, of step 1,680 (epoch 4), and" in words
        assert orders(run) == []
        await pilot.press("y")
        assert orders(run) == [("remedy", {"flag": "overfitting", "number": "3", "by": "user"})]
        await pilot.press("4")
        assert "goes on with the change from its next step" in text(app, ".dialog Static")
        await pilot.press("y", "1", "y")
        assert [args["number"] for _, args in orders(run)] == ["4", "1"]
        ui_canned.tell(run, ev.Remedied(step=2940, id="overfitting", label="decay the weights"))
        await until(pilot, lambda: any("decay the weights, live" in note.message for note in app._notifications))


async def test_a_remedy_from_the_start_is_followed_into_its_new_run(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await flags_read(app, pilot)
        await pilot.press("2")
        assert "a new run from the first step" in text(app, ".dialog Static")
        await pilot.press("y")
        assert orders(run) == [("remedy", {"flag": "overfitting", "number": "2", "by": "user"})]
        other = ui_canned.write_run(runs, epochs=1, name="onward")
        moved = RunDir(other.path.rename(other.path.with_name("2026-01-02_040506_onward_beef")))
        ui_canned.tell(run, ev.Remedied(step=2940, id="overfitting", label="smooth the labels", how="fork", run=moved.id))
        await until(pilot, lambda: isinstance(app.screen, CockpitScreen) and "onward · beef" in text(app, "#header"))
        await pilot.press("d")
        assert "fashion_cnn" in text(app, "#header")


async def test_a_finding_is_put_aside_and_its_flag_switched(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        pane = await flags_read(app, pilot)
        await pilot.press("z", "x", "h")
        assert orders(run) == [
            ("snooze", {"flag": "overfitting", "epochs": "5", "until": str(12 * 420)}),
            ("edit", {"path": "flags.overfitting", "value": "off"}),
            ("edit", {"path": "flags.overfitting.then", "value": "pause"}),
        ]
        assert "1" in str(pane.border_title)
        ui_canned.tell(run, ev.Snoozed(step=2940, id="overfitting", until=12 * 420))
        await until(pilot, lambda: "1" not in str(pane.border_title))
        assert any("overfitting: snoozed until epoch 12" in note.message for note in app._notifications)


async def test_a_finding_opens_its_flags_card(runs: Path) -> None:
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, WIDE) as pilot:
        await flags_read(app, pilot)
        for key in ("enter", "i"):
            await pilot.press(key)
            assert isinstance(app.screen, Reading)
            words = text(app, ".dialog Static")
            assert "best val loss" in words and "0.323" in words and "The flag overfitting" in words
            await pilot.press("escape")


async def test_the_cursor_stays_on_its_finding_when_a_worse_one_comes(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        pane = await flags_read(app, pilot)
        worse = ev.Flagged(step=2940, id="non_finite", severity="critical", epoch=7.0, headline="the loss is NaN")
        ui_canned.tell(run, worse)
        await until(pilot, lambda: "2" in str(pane.border_title))
        assert pane.selected and pane.selected.id == "overfitting"
        ui_canned.tell(run, ev.Cleared(step=2940, id="overfitting"))
        await until(pilot, lambda: "1" in str(pane.border_title))
        assert pane.selected and pane.selected.id == "non_finite"


async def test_remedies_of_a_loop_of_the_users_own_are_advice(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    run.recipe.write_text("watched: true\n", encoding="utf-8")
    app = opened(runs, run=run)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("f")
        pane = app.screen.query_one(FlagsPane)
        await until(pilot, lambda: bool(pane.selected and Way.ADVICE in pane.selected.ways))
        await pilot.press("2")
        assert not isinstance(app.screen, Ask)
        assert any("in your script" in note.message for note in app._notifications)
        await pilot.press("3", "y")
        assert orders(run) == [("edit", {"path": "optimizer.lr", "value": "0.005"})]
        await pilot.press("1", "y", "x", "c", "k", "v")  # neither checkpoints nor checks nor a vault
        assert orders(run) == [("stop", {})] and isinstance(app.screen, CockpitScreen)
        assert "in your script" in text(app, "#tricks .none") and app.screen.query_one("#tricks .none").display
        await pilot.press("s")
        assert "returns False" in text(app, ".dialog Static")
        await pilot.press("c")
        ui_canned.tell(run, ev.Ended(step=2940, state="stopped"))
        await until(pilot, lambda: app.screen.query_one("#summary").display)
        assert "your script begins it again" in text(app, "#summary")
        await pilot.press("u", "n")
        assert isinstance(app.screen, CockpitScreen) and app.screen.helm.run
        assert any("flags={'overfitting': False}" in note.message for note in app._notifications)


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
    who = '"pid": 1, "born": 0, "host": "elsewhere", "machine": "elsewhere"'
    run.heartbeat.write_text(f'{{{who}, "time": 0, "state": "running", "step": 9}}')
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
