"""What goes to the terminal in place of Textual's frames: the same picture, fewer bytes, and never more than it takes."""

import asyncio
import io
import os
import random
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

pytest.importorskip("termios", reason="this driver is for Unix")

from cockpit.ui.terminal.driver import PacedDriver
from cockpit.ui.terminal.grid import Grid
from cockpit.ui.terminal.sgr import change, of_space

WIDTH, HEIGHT = 40, 6
STYLES = ("", "1", "38;2;9;8;7", "1;4;38;2;9;8;7;48;2;1;2;3", "7;31;44", "2;38;5;20;48;5;7", "92;103")


class Paper:
    """A terminal that reads every sequence by the book: cells of (character, attributes, foreground, background)."""

    def __init__(self) -> None:
        self.cells = {(y, x): (" ", frozenset(), "", "") for y in range(HEIGHT) for x in range(WIDTH)}
        self.cursor = [0, 0]

    def write(self, data: str) -> None:
        pen: list[Any] = [set(), "", ""]
        for found in re.finditer(r"\x1b\[([\d;]*)([HCm])|(\n)|([^\x1b\n])", data):
            numbers = [int(number or 0) for number in (found[1] or "").split(";")]
            if found[2] == "H":
                self.cursor = [numbers[0] - 1, numbers[1] - 1]
            elif found[2] == "C":
                self.cursor[1] += numbers[0]
            elif found[2] == "m":
                self._style(pen, numbers)
            elif found[4]:
                self.cells[self.cursor[0], self.cursor[1]] = (found[4], frozenset(pen[0]), pen[1], pen[2])
                self.cursor[1] += 1

    @staticmethod
    def _style(pen: list[Any], numbers: list[int]) -> None:
        while numbers:
            first = numbers.pop(0)
            if first == 0:
                pen[:] = [set(), "", ""]
            elif first in (38, 48):
                count = 4 if numbers[0] == 2 else 2
                pen[1 if first == 38 else 2] = str([first, *numbers[:count]])
                del numbers[:count]
            elif 30 <= first <= 37 or 90 <= first <= 97:
                pen[1] = str(first)
            elif 40 <= first <= 47 or 100 <= first <= 107:
                pen[2] = str(first)
            elif first in (39, 49):
                pen[1 if first == 39 else 2] = ""
            else:
                pen[0].add(first)

    def seen(self) -> dict[Any, Any]:
        """What an eye sees: of a space without lines through it, the background."""
        return {
            place: (char, *(("", "") if char == " " and not attributes & {4, 7} else (sorted(attributes), front)), back)
            for place, (char, attributes, front, back) in self.cells.items()
        }


def frames(seed: int, count: int) -> Iterator[str]:
    """Frames as Textual writes them: places, each followed by styled pieces of text."""
    rng = random.Random(seed)
    for _ in range(count):
        said = []
        for _ in range(rng.randint(1, 6)):
            x = rng.randrange(WIDTH)
            said.append(f"\x1b[{rng.randrange(HEIGHT) + 1};{x + 1}H")
            while x < WIDTH and rng.random() < 0.8:
                text = rng.choice(["loss 0.25", "   ", "⣀⣤ ", "│", "x"])[: WIDTH - x]
                style = rng.choice(STYLES)
                said.append(f"\x1b[{style}m{text}\x1b[0m" if style else text)
                x += len(text)
            said.append(rng.choice(["\n", ""]))
        yield "".join(said) + "\x1b[1;1H"


@pytest.mark.parametrize("limit", [65536, 1])
@pytest.mark.parametrize("seed", range(20))
def test_differences_draw_the_same_picture(seed: int, limit: int) -> None:
    whole, apart, grid = Paper(), Paper(), Grid()
    for frame in frames(seed, 30):
        whole.write(frame)
        assert grid.take(frame)
        while piece := grid.delta(limit):
            apart.write(piece)
        assert apart.seen() == whole.seen()
    grid.forget(WIDTH, HEIGHT)
    again = Paper()
    while piece := grid.delta(limit):
        again.write(piece)
    assert again.seen() == whole.seen()


@pytest.mark.parametrize("old", STYLES)
@pytest.mark.parametrize("new", STYLES)
def test_a_change_of_style_is_the_new_style(old: str, new: str) -> None:
    pen: list[Any] = [set(), "", ""]
    for codes in (old, *re.findall(r"\x1b\[([\d;]*)m", change(old, new))):
        Paper._style(pen, [int(code) for code in codes.split(";") if code])
    fresh: list[Any] = [set(), "", ""]
    Paper._style(fresh, [int(code) for code in new.split(";") if code])
    assert pen == fresh


def test_only_what_changed_is_sent_and_words_whole() -> None:
    grid = Grid()
    grid.take("\x1b[1;1Hepoch 17  \x1b[38;2;1;2;3mloss 0.4321\x1b[0m")
    assert "epoch" in grid.delta(9999)
    grid.take("\x1b[1;1Hepoch 17  \x1b[38;2;1;2;3mloss 0.4329\x1b[0m\x1b[1;1H")
    assert grid.delta(9999) == "\x1b[1;16H\x1b[38;2;1;2;3m0.4329\x1b[0m\x1b[1;1H"
    assert grid.delta(9999) == ""
    assert of_space("38;2;1;2;3;48;2;4;5;6") == "48;2;4;5;6"


def test_wide_and_joined_characters_are_written_with_their_whole_row() -> None:
    grid = Grid()
    grid.take("\x1b[1;1Ha界e\u0301 12")
    grid.delta(9999)
    grid.take("\x1b[1;1Ha界e\u0301 13")
    assert grid.delta(9999).startswith("\x1b[1;1Ha界e\u0301 13")


def test_what_is_no_frame_is_not_taken() -> None:
    grid = Grid()
    grid.take("\x1b[1;1Habc")
    assert not grid.take("\x1b[1;1H\x1b]8;;http://x\x1b\\abc")
    assert grid.delta(9999) == ""


class Stuck(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        self.free.wait(60)
        return super().write(text)


@pytest.fixture
async def driver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PacedDriver]:
    """The driver with its thread that writes, on a terminal that is stuck."""
    from textual.drivers._writer_thread import WriterThread

    file = Stuck()
    monkeypatch.setattr("sys.__stderr__", file)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.__stdin__", nothing)
        made = PacedDriver(None)
        made.stuck = file  # type: ignore[attr-defined]
        made._writer_thread = WriterThread(made._file)
        made._writer_thread.start()
        yield made
        file.free.set()
        made.close()


async def test_a_stuck_terminal_holds_nobody_up_and_gets_the_last_picture(driver: PacedDriver) -> None:
    file: Stuck = driver.stuck  # type: ignore[attr-defined]
    for number in range(3000):  # Textual's queue is full after 30
        driver.write(f"\x1b[2;1Hloss {number:05d} {'x' * 20}")
    driver.write("\a")
    kept = len(driver._kept) + sum(len(row.text) for row in driver._grid._wanted.values())
    assert kept < 100 and len(file.pieces) <= 1
    file.free.set()
    while "02999" not in file.getvalue() or "\a" not in file.getvalue():
        await asyncio.sleep(0.01)
    assert len(file.getvalue()) < 300
    assert "01500" not in file.getvalue()


async def test_a_slow_terminal_rests_between_pieces_and_not_after_a_key(driver: PacedDriver) -> None:
    file: Stuck = driver.stuck  # type: ignore[attr-defined]
    driver.write("\x1b[1;1Hone")
    time.sleep(0.3)
    file.free.set()
    while driver._under_way:
        await asyncio.sleep(0.01)
    assert driver._resting > 0 and driver._piece < 65536
    driver._resting = time.monotonic() + 60
    driver.write("\x1b[1;1Htwo")
    assert not driver._under_way
    driver._urgent = time.monotonic() + 50
    driver.write("\x1b[1;1Hsix")
    while "six" not in file.getvalue():
        await asyncio.sleep(0.01)
    assert "two" not in file.getvalue()
