"""`cockpit bench`: what this machine gives a run, what limits it, and what to change."""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from cockpit.cli.base import JsonOpt, RunsOpt, app, only_json, say, show_json, shown
from cockpit.runs.directory import runs_root

if TYPE_CHECKING:
    from cockpit.bench.findings import Finding

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


@app.command()
def bench(runs: RunsOpt = None, json: JsonOpt = False) -> None:
    """Measure this machine for about a minute: disk, screen, device, loop, data; what limits each, and what to change."""
    from cockpit.bench.course import course
    from cockpit.bench.machine import machine

    head, complete = machine(), True
    found: list[Finding] = []
    if not json:
        say(head)
    with only_json(json):
        try:
            for finding in course(runs_root(runs), _tell):
                found.append(finding)
                if not json:
                    _show(finding)
        except KeyboardInterrupt:
            complete = False
        finally:
            _tell("")
    if json:
        show_json({"machine": head, "complete": complete, "findings": [finding.plain() for finding in found]})
    elif not complete:
        say("interrupted: the rest was not measured")
    if not complete:
        sys.exit(INTERRUPTED)


def _show(finding: "Finding") -> None:
    """Three lines at most."""
    _tell("")
    say(f"{finding.part:<7} {finding.name}: {finding.said}")
    say(f"        limit   {finding.limit}")
    if finding.change:
        say(f"        change  {finding.change}")


def _tell(text: str) -> None:
    """What is being measured, on a line that the next one replaces; only where somebody looks on."""
    if sys.stderr.isatty():
        with suppress(OSError):
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            print(f"\r\x1b[K{shown(text)[: width - 1]}", end="", file=sys.stderr, flush=True)
