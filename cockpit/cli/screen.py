"""Commands that open the application."""

from pathlib import Path
from typing import Annotated

import typer

from cockpit.cli.base import BadInputError, CodeOpt, RunsOpt, SetOpt, app
from cockpit.cli.feeding import ReadOnlyOpt
from cockpit.runs.directory import RunDir, find, runs_root

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

    fly = _in_process if in_process else None
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


def _in_process(run: RunDir) -> None:
    """The very same host, in a thread of the application."""
    import threading

    from cockpit.host.host import Host

    log = open(run.log, "a", encoding="utf-8")  # noqa: SIM115  (lives as long as the run)

    def say(text: str) -> None:
        print(text, file=log, flush=True)

    threading.Thread(target=Host(run, say=say).run, name="host", daemon=True).start()
