"""The commands. Each prints plain lines or, with --json, one JSON object; 0 is well, 1 the run failed, 2 bad input."""

import io
import sys

from cockpit.cli import ablating, across, catalogue, demos, flying, looking, repeating, screen, seeing
from cockpit.cli.base import app, words

COMMANDS = (ablating, across, catalogue, demos, flying, looking, repeating, screen, seeing)
"""The modules whose import adds the commands to `app`."""


def main() -> None:
    """Run a command; a first word that is none opens the application on that preset or recipe."""
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first not in known and first not in ("--help", "-h", "--version", "--install-completion", "--show-completion"):
        sys.argv.insert(1, "open")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode
    with words():
        sys.exit(app(prog_name="cockpit", standalone_mode=False))
