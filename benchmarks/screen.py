"""What the screen costs in a real terminal: first frames, keys, bytes, processor, and a terminal that is slow.

    uv run python benchmarks/screen.py [--rounds N] [--seconds S]

Every figure is taken from outside, on a pseudo-terminal: from exec, or from the key, to the moment at which a known text
stands on the screen; processor and memory as the system counts them for the process. The run that trains on every core is
Fashion-MNIST where the data root has it, and made-up images of that size elsewhere; the quick run is digits on one thread.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

from screening import keys, steady
from screening.terminal import COCKPIT, terminal, watch

SYNTHETIC = ("data.source=synthetic",)
BARE = (
    "from textual.app import App; from textual.widgets import Static; App.compose = lambda self: [Static('bare')]; App().run()"
)
FRAMES = (
    ("a bare Textual application, for comparison", "bare", sys.executable, "-c", BARE),
    ("`cockpit`", "by instruments", *COCKPIT),
    ("`cockpit`: presets and runs listed", "epoch 2/2", *COCKPIT),
    ("`cockpit attach`: the run's name", "opening", *COCKPIT, "attach"),
    ("`cockpit attach`: every pane", "val accuracy", *COCKPIT, "attach"),
    ("`cockpit runs`", "finished", *COCKPIT, "runs"),
    ("`cockpit --help`", "attach", *COCKPIT, "--help"),
)
"""What is opened, a text that only its painted screen holds, and the command."""
SLOW_RATES = (1000, 0)
"""Bytes a second of slow terminals; 0 takes nothing at all."""


def cockpit(*arguments: str) -> str:
    """Run a command to its end; what it printed."""
    done = subprocess.run([*COCKPIT, *arguments], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return done.stdout


def source() -> tuple[str, ...]:
    """Real images where they are, else synthetic ones of the same size."""
    root = os.environ.get("COCKPIT_DATA")
    return () if root and any("fashion" in path.name.lower() for path in Path(root).iterdir()) else SYNTHETIC


@contextmanager
def training(runs: Path, preset: str, *edits: str) -> Iterator[Path]:
    """A run in the background, stopped at the end; its directory."""
    before = set(runs.iterdir())
    cockpit("start", preset, *(word for edit in edits for word in ("--set", edit)))
    begun = next(iter(set(runs.iterdir()) - before))
    try:
        yield begun
    finally:
        cockpit("stop", str(begun))


def row(name: str, taken: list[float], hold: str) -> str:
    """One line of the table: median and 95th percentile in milliseconds."""
    ranked = sorted(taken)
    late = ranked[min(len(ranked) - 1, int(len(ranked) * 0.95))]
    return f"| {name} | {statistics.median(ranked) * 1000:.0f} | {late * 1000:.0f} | {len(taken)} | {hold} |"


def traffic(name: str, found: list[steady.Traffic]) -> None:
    """Lines of the table of bytes and processor."""
    for seen in found:
        size = "x".join(map(str, seen.size))
        print(
            f"| {name} | {size} | {seen.kilobytes:.2f} | {seen.share:.1%} | {seen.frames:.1f} | {seen.frame * 1000:.0f} ms |",
            flush=True,
        )


def measure(runs: Path, rounds: int, seconds: float) -> None:
    """Every figure, in the order of the page."""
    busy = os.getloadavg()[0]
    python, textual = sys.version.split()[0], version("textual")
    print(f"{os.cpu_count()} cores · load {busy:.1f} at the start · Python {python} · textual {textual}")
    print("\n| milliseconds | median | 95th percentile | rounds | hold |\n|---|---|---|---|---|")
    cockpit("train", "first_flight", "--set", "train.epochs=2", "--json")
    for name, text, *command in FRAMES:
        print(row(name, keys.first_frame(text, rounds, *command), "" if command[1] == "-c" else "700"), flush=True)
    with training(runs, "fashion_mnist", *source(), "train.epochs=20") as run, ExitStack() as stack:
        opened = stack.enter_context(terminal(*COCKPIT, "attach", str(run)))
        opened.until("it/s", 120)
        opened.idle(8)
        print(row("key to screen while a run trains on every core", keys.latency(opened, 8 * rounds), "50"), flush=True)
        drawn, stopped, ratios = keys.toll(opened, run, rounds, seconds / 3)
        print(
            f"\nThe run beside the drawing screen: {drawn:.2f} steps a second, {stopped:.2f} with the screen stopped; ratio "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}, {rounds} interleaved rounds)."
        )
        stack.close()
        _steady(runs, run, seconds)
        print("\n| a terminal that takes | key to its answer, s | share of a core | memory, MB more | then, ms |")
        print("|---|---|---|---|---|")
        for rate in SLOW_RATES:
            seen = steady.slow(run, rate, seconds)
            said = "-" if math.isnan(seen.key) else f"{seen.key:.1f}"
            print(f"| {rate} B/s | {said} | {seen.share:.1%} | {seen.memory:.1f} | {seen.alive * 1000:.0f} |", flush=True)


def _steady(runs: Path, run: Path, seconds: float) -> None:
    """The slow run on every core, past its first minute, then a quick one beside it from its first second on."""
    print("\n| in steady training | size | kB/s (hold: 8) | share of a core | frames a second | a frame costs |")
    print("|---|---|---|---|---|---|")
    with ExitStack() as stack:
        traffic("on every core, later", steady.traffic(steady.attached(stack, run), seconds))
    with training(runs, "first_flight", "train.epochs=3000") as quick, ExitStack() as stack:
        opened = steady.attached(stack, quick)
        traffic("quick steps, first minute", steady.traffic(opened, seconds))
        watch(opened, 30)
        traffic("quick steps, later", steady.traffic(opened, seconds))


def main() -> None:
    """Measure, and print a page of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=12)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COCKPIT_RUNS"] = folder
        measure(Path(folder), asked.rounds, asked.seconds)


if __name__ == "__main__":
    main()
