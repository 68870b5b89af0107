"""What the screen costs in a real terminal: first frames, bytes in steady training, and key to screen while a run trains.

    uv run python benchmarks/screen.py [--rounds N] [--seconds S]

Every figure is taken from outside, on a pseudo-terminal of 160x48: from exec, or from the key, to the bytes that hold a
known text. The run that trains is Fashion-MNIST where the data root has it, and made-up images of that size elsewhere.
"""

import argparse
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

ROWS, COLUMNS = 48, 160
COCKPIT = (sys.executable, "-m", "cockpit")
SYNTHETIC = ("data.source=synthetic",)
BARE = (
    "from textual.app import App; from textual.widgets import Static; App.compose = lambda self: [Static('bare')]; App().run()"
)
FRAMES = (
    ("a bare Textual application, for comparison", b"bare", sys.executable, "-c", BARE),
    ("`cockpit`", b"by instruments", *COCKPIT),
    ("`cockpit`: presets and runs listed", b"epoch 2/2", *COCKPIT),
    ("`cockpit attach`: the run's name", b"opening", *COCKPIT, "attach"),
    ("`cockpit attach`: every pane", b"val accuracy", *COCKPIT, "attach"),
    ("`cockpit runs`", b"finished", *COCKPIT, "runs"),
    ("`cockpit --help`", b"attach", *COCKPIT, "--help"),
)
"""What is opened, a text that only its painted screen holds, and the command."""
KEYS = ((b"t", b"Toggle or choose"), (b"f", b" Pause"))
"""Keys that move the focus, and what the line of keys says then."""


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, *command: str) -> None:
        self.begun = time.perf_counter()
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execve(sys.executable, [*command], os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"})

    def read(self, seconds: float) -> bytes:
        """What comes next, at the latest after so long; empty where nothing did."""
        if select.select([self.file], [], [], max(seconds, 0))[0]:
            with suppress(OSError):  # the program left
                return os.read(self.file, 65536)
        return b""

    def until(self, text: bytes, seconds: float = 60) -> float:
        """Read on to a text; the moment it came."""
        seen, end = b"", time.perf_counter() + seconds
        while time.perf_counter() < end:
            seen += self.read(end - time.perf_counter())
            if text in seen:
                return time.perf_counter()
        raise TimeoutError(f"{text!r} never came; the last bytes were {seen[-300:]!r}")

    def count(self, seconds: float) -> int:
        """Bytes that come within so many seconds."""
        end, total = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0:
            total += len(self.read(left))
        return total

    def press(self, key: bytes) -> float:
        """Send a key; the moment it left."""
        os.write(self.file, key)
        return time.perf_counter()

    def close(self) -> None:
        """Close the terminal, as a user may."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGHUP)
        os.close(self.file)
        os.waitpid(self.pid, 0)


@contextmanager
def terminal(*command: str) -> Iterator[Terminal]:
    """A program on a terminal that is closed at the end."""
    opened = Terminal(*command)
    try:
        yield opened
    finally:
        opened.close()


def first_frame(text: bytes, rounds: int, *command: str) -> list[float]:
    """Seconds from exec to a text that only the painted screen holds; one warm-up goes before."""
    taken = []
    for _ in range(rounds + 1):
        with terminal(*command) as opened:
            taken.append(opened.until(text) - opened.begun)
    return taken[1:]


def latency(opened: Terminal, rounds: int) -> list[float]:
    """Seconds from a key to the screen that answers it."""
    taken = []
    for _ in range(rounds):
        for key, answer in KEYS:
            opened.count(0.13)  # so that keys meet every phase of the screen's own pace
            pressed = opened.press(key)
            taken.append(opened.until(answer) - pressed)
    return taken


def cockpit(*arguments: str) -> str:
    """Run a command to its end; what it printed."""
    done = subprocess.run([*COCKPIT, *arguments], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return done.stdout


def source() -> tuple[str, ...]:
    """Real images where they are, else synthetic ones of the same size."""
    root = os.environ.get("COCKPIT_DATA")
    return () if root and any("fashion" in path.name.lower() for path in Path(root).iterdir()) else SYNTHETIC


def row(name: str, taken: list[float], unit: float, hold: str) -> str:
    """One line of the table: median and 95th percentile."""
    ranked = sorted(taken)
    late = ranked[min(len(ranked) - 1, int(len(ranked) * 0.95))]
    return f"| {name} | {statistics.median(ranked) * unit:.0f} | {late * unit:.0f} | {len(taken)} | {hold} |"


def main() -> None:
    """Measure, and print a page of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COCKPIT_RUNS"] = folder
        measure(asked.rounds, asked.seconds)


def measure(rounds: int, seconds: float) -> None:
    """Every figure, in the order of the page."""
    busy = os.getloadavg()[0]
    python, textual = sys.version.split()[0], version("textual")
    print(f"{os.cpu_count()} cores · load {busy:.1f} at the start · Python {python} · textual {textual}")
    print("\n| milliseconds | median | 95th percentile | rounds | hold |\n|---|---|---|---|---|")
    cockpit("train", "first_flight", "--set", "train.epochs=2", "--json")
    for name, text, *command in FRAMES:
        print(row(name, first_frame(text, rounds, *command), 1000, "" if command[1] == "-c" else "700"), flush=True)
    edits = [word for edit in (*source(), "train.epochs=1000") for word in ("--set", edit)]
    cockpit("start", "fashion_mnist", *edits)
    try:
        with terminal(*COCKPIT, "attach") as opened:
            opened.until(b"it/s", 300)
            opened.count(10)
            print(row("key to screen while a run trains on every core", latency(opened, 10 * rounds), 1000, "50"))
            rate = opened.count(seconds) / seconds / 1000
            print(f"\nTo the terminal in steady training: {rate:.2f} kB/s, over {seconds:.0f} s (hold: 8 kB/s).")
    finally:
        cockpit("stop")


if __name__ == "__main__":
    main()
