"""Drives the application in a test: opens it on canned runs, waits for it, reads what it shows and sends."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ui_canned
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from cockpit.runs.directory import RunDir
from cockpit.runs.mailbox import take
from cockpit.ui.app import CockpitApp
from cockpit.ui.screens.opening import Opening

WIDE = (118, 36)


def opened(runs: Path, **given: Any) -> CockpitApp:
    runs.mkdir(parents=True, exist_ok=True)
    return CockpitApp(runs=runs, now=lambda: ui_canned.NOW, **given)


@asynccontextmanager
async def on_screen(app: CockpitApp, size: tuple[int, int]) -> AsyncIterator[Pilot[Any]]:
    """The application at a size, past the frame that names the run while it is read."""
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: not isinstance(app.screen, Opening) and app.screen.is_mounted)
        await pilot.pause()
        await app.workers.wait_for_complete()
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
