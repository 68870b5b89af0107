"""Terminals that are closed, screens and tmux servers that are killed: the run goes on, and another screen shows it."""

import fcntl
import os
import pty
import random
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from commands import cockpit as typed

from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.directory import RunDir, list_runs
from cockpit.runs.history import RunReader
from cockpit.runs.state import alive, read_heartbeat
from faulting.hosts import Forked, fork, warm
from faulting.report import Outcome

RECIPE = """
about: a long run
data: {source: digits, limit: 400}
model: {name: mlp, widths: [16], norm: none}
optimizer: {name: sgd, lr: 0.01}
schedule: constant
train: {epochs: 100000, batch_size: 32, device: cpu, precision: fp32}
"""
PATIENCE = 90.0
TMUX = ("tmux", "-L", "faults")
SIZE = {"TERM": "xterm-256color", "PYTHONUTF8": "1"}


class Terminal:
    """A cockpit in a pseudo-terminal, forked from this warm process, as the leader of a session of its own."""

    def __init__(self, *words: str) -> None:
        self.seen = b""
        sys.stdout.flush()
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.environ.update(SIZE)
            sys.argv = ["cockpit", *words]
            code = 70
            try:
                from cockpit.cli import main

                signal.signal(signal.SIGHUP, signal.SIG_DFL)
                for name in ("stdin", "stdout", "stderr"):  # the parent's may be a file: these are the terminal
                    number = ("stdin", "stdout", "stderr").index(name)
                    stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
                    setattr(sys, name, stream)
                    setattr(sys, f"__{name}__", stream)
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
            finally:
                os._exit(code)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 48, 160, 0, 0))

    def read(self, seconds: float, wanted: Callable[[], bool]) -> bool:
        """Take what it draws until something holds; False where it never does."""
        until = time.monotonic() + seconds
        while not wanted():
            if time.monotonic() > until:
                return False
            if select.select([self.file], [], [], 0.1)[0]:
                with suppress(OSError):
                    self.seen += os.read(self.file, 65536)
        return True

    def gone(self, seconds: float) -> bool:
        """Whether the process ends within so many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return True
            time.sleep(0.05)
        return False

    def kill(self) -> None:
        """-9, and close the terminal."""
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        with suppress(OSError):
            os.close(self.file)


def hangups(count: int, chance: random.Random, root: Path) -> Outcome:
    """So many screens and terminals that end badly, by turns in each of the ways."""
    warm()
    import cockpit.ui.app
    import cockpit.ui.screens.cockpit  # noqa: F401

    out = Outcome("hang-ups")
    run = new_run(loads(RECIPE), root, "long", allow_code=False, command=[])
    host = fork(run, haste=False)
    try:
        for number in range(count):
            way = WAYS[number % len(WAYS)]
            out.tried += 1
            out.count(way.__name__.strip("_").replace("_", " "))
            fault = way(run, chance, root) or _goes_on(run, host, number, out)
            if fault:
                out.fail(f"{way.__name__.strip('_')}: {fault}")
    finally:
        typed("stop", str(run.path), "--wait", "5")
        if host.watch(time.monotonic() - host.begun + 20):
            host.kill()
    return out


def _step(run: RunDir) -> int:
    reader = RunReader(run)
    reader.poll()
    return reader.history.step


def _advances(run: RunDir, by: int = 20) -> bool:
    """Whether a run makes more steps."""
    began, until = _step(run), time.monotonic() + PATIENCE
    while _step(run) < began + by:
        if time.monotonic() > until or not alive(run.heartbeat):
            return False
        time.sleep(0.05)
    return True


def _goes_on(run: RunDir, host: Forked, number: int, out: Outcome) -> str:
    """After a hang-up: the host lives, trains, and a new screen shows it; every fifth time the screen is looked at."""
    if host.code is not None or not _advances(run):
        return "the host does not go on"
    if number % 5:
        return ""
    screen = Terminal("attach", str(run.path))
    shown = screen.read(PATIENCE, lambda: b"training" in screen.seen)
    screen.kill()
    out.count("attached again", int(shown))
    return "" if shown else f"a new screen does not show it: {screen.seen[-200:]!r}"


def _terminal_closed(run: RunDir, chance: random.Random, _: Path) -> str:
    """The terminal window of an attached screen is closed, at any moment from its start on."""
    return _closed(run, chance.uniform(0, 3))


def _terminal_closed_early(run: RunDir, chance: random.Random, _: Path) -> str:
    return _closed(run, chance.uniform(0, 0.5))


def _closed(run: RunDir, after: float) -> str:
    screen = Terminal("attach", str(run.path))
    screen.read(after, lambda: False)
    os.close(screen.file)
    if screen.gone(PATIENCE):
        return ""
    screen.kill()
    return "the screen outlives its terminal"


def _screen_killed(run: RunDir, chance: random.Random, _: Path) -> str:
    """-9 for the screen."""
    screen = Terminal("attach", str(run.path))
    screen.read(chance.uniform(0, 3), lambda: False)
    screen.kill()
    return ""


def _tmux_killed(run: RunDir, chance: random.Random, _: Path) -> str:
    """The server of a tmux in which a screen is attached."""
    words = [*TMUX, "-f", "/dev/null", "new-session", "-d", "-x", "160", "-y", "48"]
    command = f"exec {sys.executable} -m cockpit attach {run.path}"
    subprocess.run([*words, command], check=True, env={**os.environ, **SIZE}, capture_output=True)
    until = time.monotonic() + PATIENCE
    while b"training" not in subprocess.run([*TMUX, "capture-pane", "-p"], capture_output=True, check=False).stdout:
        if time.monotonic() > until:
            return "the screen never came in tmux"
        time.sleep(0.1)
    time.sleep(chance.uniform(0, 0.5))
    subprocess.run([*TMUX, "kill-server"], check=True, capture_output=True)
    return ""


def _foreground_hung_up(_: RunDir, chance: random.Random, root: Path) -> str:
    """The terminal of a `cockpit train` is closed: it trains on to its end."""
    recipe, runs = root / "short.yaml", root / f"foreground{time.monotonic_ns()}"
    recipe.write_text(RECIPE.replace("100000", "40"))
    flown = Terminal("train", str(recipe), "--runs", str(runs))
    flown.read(PATIENCE, lambda: bool(list_runs(runs)) and _step(list_runs(runs)[0]) > 0)
    flown.read(chance.uniform(0, 0.5), lambda: False)
    os.close(flown.file)
    if not flown.gone(PATIENCE):
        flown.kill()
        return "it hangs"
    reader = RunReader(list_runs(runs)[0])
    reader.poll()
    pulse = read_heartbeat(reader.run.heartbeat)
    return "" if reader.state == "finished" else f"it is {reader.state} at step {reader.history.step}, {pulse}"


WAYS = (_terminal_closed, _screen_killed, _foreground_hung_up, _terminal_closed_early, _tmux_killed)
