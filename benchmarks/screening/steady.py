"""Bytes to the terminal, share of a core and cost of a frame in steady training, at several sizes; and a slow terminal."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from screening.terminal import COCKPIT, Terminal, terminal, watch

SIZES = ((160, 48), (80, 24), (40, 12))


@dataclass(frozen=True)
class Traffic:
    """What a screen sent and took over some seconds."""

    size: tuple[int, int]
    kilobytes: float
    """A second."""
    share: float
    """Of one core."""
    frames: float
    """A second."""
    frame: float
    """Seconds of processor for one."""


def attached(stack: ExitStack, run: Path) -> list[Terminal]:
    """Screens of every size on a run, past their first frames."""
    opened = [stack.enter_context(terminal(*COCKPIT, "attach", str(run), size=size)) for size in SIZES]
    for each in opened:
        each.until("train ", 60)
    watch(opened, 3)
    return opened


def traffic(opened: list[Terminal], seconds: float) -> list[Traffic]:
    """Watch the screens for so long."""
    before = [(each.bytes, each.frames, each.cpu) for each in opened]
    begun = time.perf_counter()
    watch(opened, seconds)
    took = time.perf_counter() - begun
    found = []
    for size, each, (sent, frames, cpu) in zip(SIZES, opened, before, strict=True):
        spent, drawn = each.cpu - cpu, each.frames - frames
        found.append(Traffic(size, (each.bytes - sent) / took / 1000, spent / took, drawn / took, spent / max(1, drawn)))
    return found


@dataclass(frozen=True)
class Slow:
    """A screen on a terminal that takes so many bytes a second: what it did meanwhile."""

    rate: int
    key: float
    """Seconds from a key to its answer on the screen, the bytes before it in the line's own queue included."""
    share: float
    memory: float
    """MB that the process grew by."""
    alive: float
    """Seconds from the end of the drought to an answered key."""


def slow(run: Path, rate: int, seconds: float) -> Slow:
    """Read at so many bytes a second, press a key in the middle, then read as fast as it comes."""
    with terminal(*COCKPIT, "attach", str(run)) as opened:
        opened.until("it/s", 60)
        opened.idle(3)
        memory, cpu = opened.process.memory_info().rss, opened.cpu
        begun, pressed, answered = time.perf_counter(), 0.0, float("nan")
        while (now := time.perf_counter() - begun) < seconds:
            time.sleep(0.1)
            if rate:
                opened.read(0, max(1, rate // 10))
            if not pressed and now > seconds / 3:
                pressed = opened.press(b"t")
            if pressed and answered != answered and "Toggle or choose" in opened.glass.text:
                answered = time.perf_counter() - pressed
        grown, share = opened.process.memory_info().rss - memory, (opened.cpu - cpu) / seconds
        over = opened.press(b"?")
        return Slow(rate, answered, share, grown / 1e6, opened.until("─ Keys") - over)
