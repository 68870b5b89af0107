"""Pausing a run and continuing it, from any terminal; and what a run in the foreground says of its pauses."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cockpit.cli.base import BadInputError, JsonOpt, RunArg, RunsOpt, app, say, show_json
from cockpit.runs.directory import RunDir, find, runs_root
from cockpit.runs.mailbox import Command
from cockpit.runs.owner import own
from cockpit.runs.pausing import goes_on

if TYPE_CHECKING:
    from cockpit.cli.progress import Progress
    from cockpit.host.host import Host
    from cockpit.runs.history import RunReader

WaitOpt = Annotated[float, typer.Option(help="Seconds to wait for the answer.")]
BEAT = 3.0
"""Seconds within which a host's heartbeat says what its log says."""


@app.command()
def pause(
    run: RunArg = None,
    runs: RunsOpt = None,
    release: Annotated[bool, typer.Option("--release", help="Write a checkpoint and give the device back meanwhile.")] = False,
    wait: WaitOpt = 60.0,
    json: JsonOpt = False,
) -> None:
    """Let a run wait after its current step, until `cockpit continue`."""
    _order(Command("pause", {"release": "yes"} if release else {}), run, runs, wait, json)


@app.command("continue")
def go_on(run: RunArg = None, runs: RunsOpt = None, wait: WaitOpt = 60.0, json: JsonOpt = False) -> None:
    """Let a paused run go on."""
    _order(Command("continue"), run, runs, wait, json)


def _order(command: Command, run: str | None, runs: Path | None, wait: float, json: bool) -> None:
    """Send the command and wait for its answer; 1 where there is none in time."""
    from cockpit.runs.history import RunReader
    from cockpit.runs.state import LIVE
    from cockpit.runs.summary import summarise

    found = own(find(runs_root(runs), run), command.verb)
    reader = RunReader(found)
    reader.poll()
    name, verb = f"run {found.id} ({found.name})", command.verb
    if reader.state not in LIVE:
        resume = f"; `cockpit resume {found.id}` goes on from its last checkpoint" if verb == "continue" else ""
        raise BadInputError(f"{name} is not running: it is {reader.state}{resume if reader.state != 'finished' else ''}")
    sent, until = deliver(found, command), time.monotonic() + wait
    while (ok := _answer(reader, sent.id, name)) is None and reader.state in LIVE and time.monotonic() < until:
        time.sleep(0.05)
        reader.poll()
    until = time.monotonic() + (BEAT if ok else 0)
    while reader.state in LIVE and (reader.state == "paused") != reader.history.paused and time.monotonic() < until:
        time.sleep(0.05)
        reader.poll()
    if json:
        show_json(summarise(found))
    else:
        say(_outcome(verb, name, reader, bool(ok), wait))
    raise typer.Exit(0 if ok else 1)


def deliver(run: RunDir, command: Command) -> Command:
    """Put a command into the run's mailbox. Raises BadInputError where its disk takes none, with the way that needs no disk."""
    from cockpit.runs.mailbox import send
    from cockpit.runs.state import machine, read_heartbeat

    try:
        return send(run.mailbox, command)
    except OSError as error:
        pulse = read_heartbeat(run.heartbeat)
        there = f" on {pulse.host}" if pulse and pulse.machine != machine() else ""
        way = f", or `kill -TERM {pulse.pid}`{there} asks it to end, with a checkpoint once there is room" if pulse else ""
        fault = f"cannot be asked to {command.verb}: its mailbox cannot be written: {error.strerror or error}"
        raise BadInputError(f"run {run.id} ({run.name}) {fault}; try again once it can{way}") from error


def _answer(reader: RunReader, id: str, name: str) -> bool | None:
    """Whether the run obeyed; None: it has not answered. Raises BadInputError where it refused, with its words."""
    seen = next((seen for seen in reversed(reader.history.commands) if seen.id == id), None)
    if seen and not seen.ok:
        raise BadInputError(f"{name}: {seen.detail}")
    return True if seen else None


def _outcome(verb: str, name: str, reader: RunReader, ok: bool, wait: float) -> str:
    """What came of it, in a sentence."""
    from cockpit.runs.state import LIVE

    step = f"step {reader.history.step:,}"
    if reader.state not in LIVE:
        return f"{name} is {reader.state} at {step}"
    if not ok:
        return f"{name} has not answered for {wait:g} s; it is {reader.state} at {step}, and the {verb} waits in its mailbox"
    if verb == "continue":
        return f"{name} goes on at {step}"
    return f"{name} is paused at {step}; {goes_on(reader.run)} goes on"


class Pauses:
    """Prints the news of a run in the foreground, and how a pause ends: nobody need have asked for it."""

    def __init__(self, host: Host, progress: Progress) -> None:
        self._host = host
        self._progress = progress
        self._paused = False

    def turn(self) -> None:
        """Call now and then, in the host's thread."""
        self._progress.turn()
        before, self._paused = self._paused, self._host.flight.control.paused
        step = f"step {self._host.flight.step:,}"
        if self._paused and not before:
            ways = f"{goes_on(self._host.run_dir)} in another terminal goes on, Ctrl-C ends the run with a checkpoint"
            self._progress.say(f"paused at {step}; {ways}")
        elif before and not self._paused:
            self._progress.say(f"goes on at {step}")
