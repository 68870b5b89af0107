"""Commands that open the application."""

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from cockpit.cli.base import BadInputError, CodeOpt, RunsOpt, SetOpt, app
from cockpit.cli.feeding import ReadOnlyOpt
from cockpit.runs.directory import RunDir, find, runs_root

if TYPE_CHECKING:
    from cockpit.host.host import Host

InProcess = Annotated[bool, typer.Option("--in-process", help="Train in a thread of the application: quitting stops the run.")]
AttachArg = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run's folder, id or prefix (default: the newest), or ssh://[user@]host[:port]/RUN."),
]
RemoteOpt = Annotated[
    str,
    typer.Option("--remote-command", envvar="COCKPIT_REMOTE", help="What calls the cockpit on the other machine."),
]


@app.command("open")
def open_app(
    recipe: Annotated[str | None, typer.Argument(metavar="[PRESET]", help="A preset or recipe to load.")] = None,
    edits: SetOpt = None,
    runs: RunsOpt = None,
    in_process: InProcess = False,
    allow_code: CodeOpt = False,
) -> None:
    """Open the application: on a preset or recipe, or on the launch screen. `cockpit PRESET` is short for it."""
    if recipe:
        from cockpit.recipe import load

        load(recipe, edits or ())  # faults are said before the screen takes the terminal
    elif edits:
        raise BadInputError("--set changes a recipe: name one, as in `cockpit first_flight --set optimizer.lr=0.1`")
    from cockpit.ui.app import CockpitApp

    fly = _Inside() if in_process else None
    CockpitApp(runs=runs_root(runs), recipe=recipe, edits=edits or (), starter=fly, allow_code=allow_code).run()


@app.command()
def attach(
    run: AttachArg = None, runs: RunsOpt = None, read_only: ReadOnlyOpt = False, remote_command: RemoteOpt = "cockpit"
) -> None:
    """Open the screen on a run, live or ended: here, or by ssh on another machine."""
    if run and run.startswith("ssh:"):
        _attach_there(run, runs, read_only, remote_command)
        return
    found = find(runs_root(runs), run)
    from cockpit.ui.app import CockpitApp

    CockpitApp(runs=runs_root(runs), run=found, read_only=read_only).run()


def _attach_there(address: str, runs: Path | None, read_only: bool, command: str) -> None:
    """Connect before the screen takes the terminal, so that ssh can ask for what it needs."""
    from cockpit.remote.address import parse
    from cockpit.remote.line import Line

    line = Line(parse(address), remote=command, runs=runs, read_only=read_only)
    found = line.open()
    try:
        from cockpit.ui.app import CockpitApp

        CockpitApp(runs=runs_root(), run=found, read_only=read_only).run()
    finally:
        line.close()


class _Inside:
    """Begins the very same hosts in threads of the application. A hang-up ends all, but not before there is a checkpoint."""

    def __init__(self) -> None:
        self._flown: list[tuple[Host, threading.Thread]] = []
        for name in ("SIGHUP", "SIGTERM"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._hung_up)

    def __call__(self, run: RunDir) -> None:
        from cockpit.host.host import Host

        log = open(run.log, "a", encoding="utf-8")  # noqa: SIM115  (lives as long as the run)
        host = Host(run, say=lambda text: print(text, file=log, flush=True))
        thread = threading.Thread(target=host.run, name="host", daemon=True)
        thread.start()
        self._flown.append((host, thread))

    def _hung_up(self, number: int, _: FrameType | None) -> None:
        for host, _thread in self._flown:
            host.stop("interrupted", f"on {signal.Signals(number).name}")
        for _host, thread in self._flown:
            thread.join()
        os._exit(128 + number)  # there may be no terminal left to put in order
