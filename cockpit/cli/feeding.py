"""The command that `cockpit attach ssh://HOST/RUN` runs on the machine of the run."""

import os
import sys
from typing import Annotated

import typer

from cockpit.cli.base import BadInputError, RunArg, RunsOpt, app
from cockpit.runs.directory import RunError, find, runs_root

ReadOnlyOpt = Annotated[bool, typer.Option("--read-only", help="Only look: no command can be sent to the run.")]


@app.command()
def feed(run: RunArg = None, runs: RunsOpt = None, read_only: ReadOnlyOpt = False) -> None:
    """Stream a run over standard output, for `cockpit attach ssh://HOST/RUN` on another machine."""
    if sys.stdout.isatty():
        raise BadInputError("this speaks to a cockpit, not to a terminal; on your machine say `cockpit attach ssh://HOST/RUN`")
    from cockpit.remote.feed import Feed, refuse
    from cockpit.runs.owner import stranger

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not get between the frames

    def write(data: bytes) -> None:
        out.write(data)
        out.flush()

    try:
        found = find(runs_root(runs), run)
    except RunError as error:
        refuse(write, str(error))
        raise
    try:
        Feed(found, write, read_only=read_only or bool(stranger(found))).serve(lambda most: os.read(0, most))
    except OSError:  # nobody listens any more
        os._exit(0)
