"""From exec, or from a key, to a text on the screen; and what a screen that draws takes from the run it shows."""

import os
import signal
import statistics
from pathlib import Path

from cockpit.runs.directory import RunDir
from cockpit.runs.tables import STEPS, read_table
from screening.terminal import Terminal, terminal

KEYS = ((b"t", "Toggle or choose"), (b"f", "space Pause"))
"""Keys that move the focus, and what the line of keys says then."""
PHASE = 0.13
"""Seconds between two keys, so that they meet every phase of the screen's own pace."""


def first_frame(text: str, rounds: int, *command: str) -> list[float]:
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
            opened.idle(PHASE)
            pressed = opened.press(key)
            taken.append(opened.until(answer) - pressed)
    return taken


def toll(opened: Terminal, run: Path, rounds: int, seconds: float) -> tuple[float, float, list[float]]:
    """Steps a second of the run with the screen drawing, and with it stopped (SIGSTOP): medians; and each round's ratio."""
    pairs = []
    for _ in range(rounds):
        drawing = _pace(opened, run, seconds)
        os.kill(opened.pid, signal.SIGSTOP)
        stopped = _pace(opened, run, seconds)
        os.kill(opened.pid, signal.SIGCONT)
        opened.idle(0.5)
        pairs.append((drawing, stopped))
    ratios = [drawing / stopped for drawing, stopped in pairs]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs), ratios


def _pace(opened: Terminal, run: Path, seconds: float) -> float:
    """Steps a second by the run's own clock, over so many seconds."""
    table = RunDir(run).table("steps")
    before = read_table(table, STEPS)[-1].copy()
    opened.idle(seconds)
    after = read_table(table, STEPS)[-1]
    return float(after["step"] - before["step"]) / float(after["time"] - before["time"])
