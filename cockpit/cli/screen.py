"""Commands that open the application."""

from typing import Annotated

import typer

from cockpit.cli.base import BadInputError, CodeOpt, RunArg, RunsOpt, SetOpt, app
from cockpit.runs.directory import RunDir, find, runs_root

InProcess = Annotated[bool, typer.Option("--in-process", help="Train in a thread of the application: quitting stops the run.")]


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
def attach(run: RunArg = None, runs: RunsOpt = None) -> None:
    """Open the screen on a run, live or ended."""
    found = find(runs_root(runs), run)
    from cockpit.ui.app import CockpitApp

    CockpitApp(runs=runs_root(runs), run=found).run()


def _in_process(run: RunDir) -> None:
    """The very same host, in a thread of the application."""
    import threading

    from cockpit.host.host import Host

    log = open(run.log, "a", encoding="utf-8")  # noqa: SIM115  (lives as long as the run)

    def say(text: str) -> None:
        print(text, file=log, flush=True)

    threading.Thread(target=Host(run, say=say).run, name="host", daemon=True).start()
