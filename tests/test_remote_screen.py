"""The screen on a run of another machine: what it says of the link, and what it does not send."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import ui_canned
from ui_driver import WIDE, highlight, on_screen, opened, orders, text, until

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.link import Link, say_link
from cockpit.ui.screens.cockpit import CockpitScreen

pytestmark = pytest.mark.usefixtures("canned_cards")
UP = Link("ssh://me@gpu1:2222/7f3a", "gpu1", "/there/runs/x", up=True)


@pytest.fixture
def run(runs: Path) -> RunDir:
    return ui_canned.write_run(runs)


def told(app) -> str:
    return " ".join(str(note.message) for note in app._notifications)


def age(app) -> int:
    found = re.search(r"link to gpu1 lost (\d+) s ago", text(app, "#header"))
    return int(found[1]) if found else 0


@pytest.mark.parametrize("size", [WIDE, (80, 24), (40, 12)])
async def test_the_screen_stays_and_says_how_old_it_is(size, run, runs):
    say_link(run, replace(UP, heard=time.time() + 1000))
    app = opened(runs, run=run)
    async with on_screen(app, size) as pilot:
        assert "when last seen" not in text(app, "#header") and "lost" not in text(app, "#header")
        say_link(run, replace(UP, up=False, heard=time.time() - 12, why="ssh: \x1b[2Jno route"))
        await until(pilot, lambda: age(app) >= 12)
        header = text(app, "#header")
        assert "when last seen" in header and "reconnecting: ssh: no route" in header and "\x1b" not in header
        seen = age(app)
        await until(pilot, lambda: age(app) > seen)
        await pilot.press("space")
        await until(pilot, lambda: "there is no link to gpu1 now" in told(app))
        say_link(run, replace(UP, heard=time.time() + 1000))
        await until(pilot, lambda: "lost" not in text(app, "#header"))
        await pilot.press("space")
    assert [verb for verb, _ in orders(run)] == ["pause"]


async def test_a_silent_link_is_stale_too(run, runs):
    say_link(run, replace(UP, heard=time.time() - 7))
    app = opened(runs, run=run)
    async with on_screen(app, WIDE):
        assert "no word from gpu1 for " in text(app, "#header") and "when last seen" in text(app, "#header")


async def test_the_machine_is_named_and_the_way_back(run, runs, capsys):
    say_link(run, replace(UP, heard=time.time() + 1000))
    app = opened(runs, run=run)
    async with on_screen(app, (160, 48)) as pilot:
        assert "@ gpu1" in text(app, "#header")
        await pilot.press("q", "d")
    assert "`cockpit attach ssh://me@gpu1:2222/7f3a` shows" in capsys.readouterr().err


async def test_what_takes_the_runs_own_machine_is_sent_there(run, runs, monkeypatch):
    say_link(run, replace(UP, heard=time.time() + 1000))
    ui_canned.tell(run, ev.Ended(state="stopped"))
    app = opened(runs, run=run)
    monkeypatch.setattr("cockpit.runs.launch.spawn", lambda *_, **__: pytest.fail("a host was started on the mirror"))
    async with on_screen(app, (160, 48)) as pilot:
        await until(pilot, lambda: "gpu1:/there/runs/x" in text(app, "SummaryBox"))
        for key, deed in (("u", "resume it"), ("n", "begin the new run"), ("v", "open its vault"), ("k", "look closer")):
            await pilot.press(key)
            await until(pilot, lambda deed=deed: f"the run is on gpu1: {deed} there" in told(app))
        assert isinstance(app.screen, CockpitScreen)


async def test_a_screen_that_only_looks_sends_nothing(run, runs):
    app = opened(runs, run=run, read_only=True)
    async with on_screen(app, (160, 48)) as pilot:
        for keys in (["space"], ["c"], ["s", "s"], ["v"]):
            app.clear_notifications()
            await pilot.press(*keys)
            await until(pilot, lambda: "only looks (--read-only)" in told(app))
        app.clear_notifications()
        await highlight(pilot, "tricks.mixup")
        await pilot.press("t", "space")
        await until(pilot, lambda: "only looks (--read-only)" in told(app))
        await pilot.press("q")
        await until(pilot, lambda: app.screen.id == "leave")
        await pilot.press("s")
        assert app.screen.id == "leave", "stopping is not among the answers"
    assert orders(run) == []
