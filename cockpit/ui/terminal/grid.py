"""The cells of a terminal: as they shall be, and as it was told. What is sent is the difference.

Textual writes a widget that changed anew, or a line from the widget's left edge to the last cell that changed.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

from rich.cells import cell_len

from cockpit.ui.terminal.sgr import change, of_space

TOKEN = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[([\d;]*)m|([^\x1b\x00-\x1f]+)|\n|(.)", re.DOTALL)
"""What a frame is made of: a place, a style, a text; a line feed, which a place follows; and anything else."""
WORD = re.compile("[!-~]+")
GAP = 4
"""So few cells between two that changed are sent again: to step over them takes as many bytes."""


class Row:
    """A line: the text and the style of each cell. None where nothing is known; "" in the right half of a wide character."""

    def __init__(self) -> None:
        self.text: list[str | None] = []
        self.style: list[str] = []

    def put(self, column: int, cells: list[str], style: str) -> None:
        """Write cells of one style."""
        end = column + len(cells)
        if missing := end - len(self.text):
            self.text += [None] * missing
            self.style += [""] * missing
        self.text[column:end] = cells
        self.style[column:end] = [style] * len(cells)

    def cut(self, width: int) -> None:
        """Forget what lies right of a width."""
        del self.text[width:], self.style[width:]


class Grid:
    """Takes frames as Textual writes them; `delta` tells what the terminal has to be told yet."""

    def __init__(self) -> None:
        self._wanted: dict[int, Row] = {}
        self._told: dict[int, Row] = {}
        self._open: set[int] = set()
        """Rows that may differ."""
        self._next = 0
        """Where the next delta begins, so that no row waits for ever while those above it change."""
        self._cursor = (0, 0)

    def take(self, frame: str) -> bool:
        """Take a frame in; False where it holds more than places, styles and texts: then nothing is known any more."""
        place, style = [0, 0], ""
        for found in TOKEN.finditer(frame):
            kind = found.lastindex
            if kind == 2:
                place = [int(found[1]) - 1, int(found[2]) - 1]
            elif kind == 3:
                style = "" if found[3] == "0" else found[3]
            elif kind == 4:
                cells = _cells(found[4])
                self._wanted.setdefault(place[0], Row()).put(place[1], cells, of_space(style) if found[4].isspace() else style)
                self._open.add(place[0])
                place[1] += len(cells)
            elif kind:
                self.clear()
                return False
        self._cursor = place[0], place[1]
        return True

    def clear(self) -> None:
        """Forget all: what is wanted, and what was told."""
        self._wanted, self._told, self._open = {}, {}, set()

    def forget(self, width: int, height: int) -> None:
        """The terminal has this size now, and may show anything: all that is wanted is to be told again."""
        self._wanted = {y: row for y, row in self._wanted.items() if y < height}
        for row in self._wanted.values():
            row.cut(width)
        self._told, self._open = {}, set(self._wanted)

    def delta(self, limit: int) -> str:
        """The next sequences for the terminal, row by row until they are as long as a limit; empty where it knows all."""
        said, style = "", ""
        rows = sorted(self._open, key=lambda y: (y < self._next, y))
        for y in rows:
            if len(said) >= limit:
                break
            self._open.discard(y)
            self._next = y + 1
            text, style = self._tell(y, style)
            said += text
        if not said:
            return ""
        y, x = self._cursor
        return f"{said}{change(style, '')}\x1b[{y + 1};{x + 1}H"

    def _tell(self, y: int, style: str) -> tuple[str, str]:
        """One row's sequences, and the style they end with."""
        row, told = self._wanted[y], self._told.setdefault(y, Row())
        if row.text == told.text and row.style == told.style:
            return "", style
        said, at = [], -1
        for start, end in _stretches(row, told):
            said.append(f"\x1b[{y + 1};{start + 1}H" if at < 0 else f"\x1b[{start - at}C")
            for new, part in groupby(range(start, end), row.style.__getitem__):
                said.append(change(style, new))
                said += [row.text[x] or "" for x in part]
                style = new
            at = end
        told.text, told.style = row.text[:], row.style[:]
        return "".join(said), style


def _stretches(row: Row, told: Row) -> Iterator[tuple[int, int]]:
    """The parts of a row that are to be written, as (first cell, cell after the last)."""
    start = end = -1
    for x in _changed(row, told):
        if start >= 0 and (x - end > GAP or None in row.text[end:x]):
            yield start, end
            start = x
        start, end = x if start < 0 else start, x + 1
    if start >= 0:
        yield start, end


def _changed(row: Row, told: Row) -> list[int]:
    """The cells to write. Words go whole, for those who read along with a screen reader or in a recording."""
    known = [x for x, text in enumerate(row.text) if text is not None]
    had = len(told.text)
    changed = {x for x in known if x >= had or row.text[x] != told.text[x] or row.style[x] != told.style[x]}
    if any(len(row.text[x] or "") != 1 for x in known):
        # Terminals differ in how wide they draw some characters: such a row is written from its beginning.
        return known if changed else []
    for word in WORD.finditer("".join([text or " " for text in row.text])):
        if not changed.isdisjoint(range(*word.span())):
            changed.update(range(*word.span()))
    return sorted(changed)


@lru_cache(4096)
def _cells(text: str) -> list[str]:
    """A text by cells: the right half of a wide character is empty, and what has no width belongs to the cell before."""
    if text.isascii():
        return list(text)
    cells: list[str] = []
    for letter in text:
        width = cell_len(letter)
        if width:
            cells += [letter] + [""] * (width - 1)
        elif cells:
            cells[-1] += letter
    return cells
