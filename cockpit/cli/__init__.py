"""The commands. Each prints plain lines or, with --json, one JSON object; 0 is well, 1 the run failed, 2 bad input."""

import difflib
import io
import os
import sys

from cockpit.cli import (
    ablating,
    across,
    benching,
    catalogue,
    demos,
    feeding,
    flying,
    looking,
    repeating,
    replaying,
    screen,
    seeing,
)
from cockpit.cli.base import BadInputError, app, words

COMMANDS = (ablating, across, benching, catalogue, demos, feeding, flying, looking, repeating, replaying, screen, seeing)
"""The modules whose import adds the commands to `app`."""


def _mistyped(known: set[str], first: str, more: list[str]) -> None:
    """Raise BadInputError for a command that is nearly one: `cockpit trian first_flight`."""
    near = difflib.get_close_matches(first, known, n=1, cutoff=0.7)
    if first not in known and more and near:
        raise BadInputError(f"there is no command {first[:60]!r}; did you mean `cockpit {near[0]}`?")


def main() -> None:
    """Run a command; a first word that is none opens the application on that preset or recipe."""
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first not in known and first not in ("--help", "-h", "--version", "--install-completion", "--show-completion"):
        sys.argv.insert(1, "open")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode
    os.umask(os.umask(0o077) & 0o077)  # one that takes rights from the user's own files would end every run
    with words():
        _mistyped(known, first, sys.argv[3:])
        sys.exit(app(prog_name="cockpit", standalone_mode=False))
