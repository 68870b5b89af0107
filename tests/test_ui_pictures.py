"""A handful of pictures of the main screens, from canned runs with a clock that stands still."""

from pathlib import Path
from typing import Any

import pytest
import recipe_catalog
import ui_canned
from textual.pilot import Pilot

from cockpit import catalog
from cockpit.recipe import Preset
from cockpit.runs import events as ev
from cockpit.ui.app import CockpitApp
from cockpit.ui.screens.launch import LaunchScreen

LARGE, SMALL = (160, 48), (80, 24)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = [
        Preset(name, Path(name), about) for name, about in (("first_flight", "Digits."), ("sick_dead_relu", "Falls ill."))
    ]
    monkeypatch.setattr(catalog, "catalog", lambda: recipe_catalog.CARDS)
    monkeypatch.setattr("cockpit.recipe.presets", lambda: shipped)


async def settle(pilot: Pilot[Any]) -> None:
    """Let the recipe be read, which waits for the first frame."""
    for _ in range(200):
        await pilot.pause(0.02)
        helm = getattr(pilot.app.screen, "helm", None)
        if isinstance(pilot.app.screen, LaunchScreen) or (helm is not None and helm.later is not None):
            break
    await pilot.pause(0.3)


def app_on(runs: Path, **given: Any) -> CockpitApp:
    runs.mkdir(parents=True, exist_ok=True)
    return CockpitApp(runs=runs, now=lambda: ui_canned.NOW, **given)


def test_launch(snap_compare: Any, runs: Path) -> None:
    ui_canned.write_run(runs)
    assert snap_compare(app_on(runs), terminal_size=SMALL, run_before=settle)


@pytest.mark.parametrize("size", [LARGE, SMALL])
def test_training(snap_compare: Any, runs: Path, size: tuple[int, int]) -> None:
    assert snap_compare(app_on(runs, run=ui_canned.write_run(runs)), terminal_size=size, run_before=settle)


def test_flags_on_a_small_screen(snap_compare: Any, runs: Path) -> None:
    app = app_on(runs, run=ui_canned.write_run(runs))

    async def turn(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("f")

    assert snap_compare(app, terminal_size=SMALL, run_before=turn)


def test_a_remedy_is_confirmed(snap_compare: Any, runs: Path) -> None:
    done = ev.Remedied(step=1800, id="lr_too_high", label="lower the learning rate to 0.05", how="rollback")
    app = app_on(runs, run=ui_canned.write_run(runs, more=(done, ev.Snoozed(step=2940, id="overfitting", until=3000))))

    async def ask(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("f", "3")

    assert snap_compare(app, terminal_size=LARGE, run_before=ask)


def test_knob_form(snap_compare: Any, runs: Path) -> None:
    app = app_on(runs, run=ui_canned.write_run(runs))

    async def open_form(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("t", "e", *"-1")

    assert snap_compare(app, terminal_size=SMALL, run_before=open_form)


def test_failed(snap_compare: Any, runs: Path) -> None:
    end = ev.Ended(step=1260, state="failed", epoch=3, reason="out of memory on cuda:0; try train.batch_size=64")
    # The folder stands on the screen, and pytest numbers its folders anew each time.
    run = ui_canned.write_run(runs, epochs=3, state=None, more=(end,))
    app = app_on(runs, run=run)

    async def hide_folder(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        pilot.app.screen.query_one("#summary").display = False
        await pilot.pause()

    assert snap_compare(app, terminal_size=LARGE, run_before=hide_folder)
