"""Quitting: what becomes of a live run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cockpit.runs.link import read_link
from cockpit.ui.model.words import clean

if TYPE_CHECKING:
    from cockpit.runs.directory import RunDir
    from cockpit.ui.app import CockpitApp


def depart(app: CockpitApp) -> None:
    """Quit at once where nothing lives; else ask."""
    from cockpit.ui.screens import questions

    run = living(app)
    if run is None:
        app.exit()
        return
    if app.screen.id == "leave":
        return

    def answered(answer: str | None) -> None:
        if answer == "stop":
            _stop(app, run)
        elif answer:
            link = read_link(run)
            back = clean(link.address) if link else run.id
            _leave(app, f"Run {run.id} ({clean(run.name)}) goes on; `cockpit attach {back}` shows it.")

    app.push_screen(questions.leave(app.starter is not None, app.read_only), answered)


def _leave(app: CockpitApp, said: str) -> None:
    """Quit with a last word, which is text and no markup."""
    from rich.text import Text

    app.exit(message=Text(clean(said)))


def living(app: CockpitApp) -> RunDir | None:
    """The live run that quitting concerns: the one on screen, or one that trains in this process."""
    from cockpit.ui.screens.orders import Orders

    helms = [screen.helm for screen in reversed(app.screen_stack) if isinstance(screen, Orders)]
    for helm in helms[:1]:
        if helm.run and helm.view.live:
            return helm.run
    return next((run for run in app.flown if _alive(run)), None) if app.starter else None


def _alive(run: RunDir) -> bool:
    from cockpit.runs.history import RunReader
    from cockpit.runs.state import LIVE

    reader = RunReader(run)
    reader.poll()
    return reader.state in LIVE


def _stop(app: CockpitApp, run: RunDir) -> None:
    from cockpit.runs.directory import RunError
    from cockpit.runs.mailbox import Command, send
    from cockpit.runs.owner import own

    link = read_link(run)
    if link and link.stale(time.time()):
        app.notify("the command cannot be sent: there is no link to its machine now", severity="error", markup=False)
        return
    try:
        send(own(run, "stop").mailbox, Command("stop"))
    except (OSError, RunError) as error:
        app.notify(f"the command cannot be sent: {error}", severity="error", markup=False)
        return
    if app.starter is None:
        _leave(app, f"Run {run.id} ({clean(run.name)}) was told to stop with a checkpoint.")
        return
    app.notify("stopping: the run finishes its step and writes a checkpoint")
    app.set_interval(0.2, lambda: None if _alive(run) else app.exit())
