"""A grid of characters with a style each, which knows where it differs from another; and the characters of a plot."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cockpit.ui.plot.raster import Mask, braille
from cockpit.ui.plot.series import Shape

Codes = NDArray[np.uint32]


@dataclass(frozen=True)
class Glyphs:
    """The characters a plot is drawn with. `plain` ones are ASCII, one dot a character; the others hold 2x4 dots."""

    plain: bool
    shapes: dict[Shape, str]
    """How the legend shows a shape; in plain text, its first character draws the curve."""
    edit: str
    flag: str
    broken: str
    grid: str
    cursor: str

    @property
    def dots(self) -> tuple[int, int]:
        """Dots of a cell: (wide, high)."""
        return (1, 1) if self.plain else (2, 4)

    def cells(self, mask: Mask, shape: Shape) -> Codes:
        """The character of each cell of a mask of dots, as code points; 0 where a cell has none."""
        if shape == "marker" or self.plain:
            wide, high = self.dots
            lit = mask.reshape(mask.shape[0] // high, high, mask.shape[1] // wide, wide).any((1, 3))
            return np.where(lit, ord(self.shapes[shape][0]), 0).astype(np.uint32)
        return braille(mask)


UNICODE = Glyphs(
    False, {"solid": "──", "dashed": "╴╴", "dotted": "┄┄", "marker": "◆"}, edit="▾", flag="▲", broken="×", grid="┈", cursor="│"
)
ASCII = Glyphs(
    True, {"solid": "**", "dashed": "--", "dotted": "..", "marker": "@"}, edit="v", flag="^", broken="x", grid=" ", cursor="|"
)
BLANK = ord(" ")
DOTS = np.array([code.bit_count() for code in range(256)])
"""How many dots a braille character has."""
LINE_DOTS = 4
"""A single line lights no more dots of a cell."""


class Canvas:
    """Characters and the names of their styles, (height, width)."""

    def __init__(self, width: int, height: int) -> None:
        self.codes: Codes = np.full((height, width), BLANK, np.uint32)
        self.paint = np.zeros((height, width), np.uint8)
        self.styles: list[str] = [""]

    def style(self, name: str) -> int:
        """The number of a style in `paint`."""
        if name not in self.styles:
            self.styles.append(name)
        return self.styles.index(name)

    def put(self, row: int, column: int, text: str, style: str = "") -> None:
        """Write text from a cell on; what does not fit is cut off."""
        height, width = self.codes.shape
        text = text[max(-column, 0) : max(width - column, 0)]
        if text and 0 <= row < height:
            column = max(column, 0)
            self.codes[row, column : column + len(text)] = [ord(letter) for letter in text]
            self.paint[row, column : column + len(text)] = self.style(style)

    def lay(self, row: int, column: int, cells: Codes, style: str) -> None:
        """Lay cells over a part of the canvas. The dots of thin lines join; a solid mass of dots makes room, or a line on
        it could not be seen.
        """
        part = np.s_[row : row + cells.shape[0], column : column + cells.shape[1]]
        below, lit = self.codes[part], cells > 0
        joins = _is_braille(below) & _is_braille(cells) & (DOTS[below & 0xFF] <= LINE_DOTS)
        self.codes[part] = np.where(lit, np.where(joins, below | cells, cells), below)
        self.paint[part] = np.where(lit, self.style(style), self.paint[part])

    def runs(self, row: int) -> list[tuple[str, str]]:
        """A row as stretches of (text, style)."""
        paint = self.paint[row]
        ends = [0, *(np.flatnonzero(np.diff(paint)) + 1).tolist(), len(paint)]
        text = "".join(map(chr, self.codes[row].tolist()))
        return [(text[start:end], self.styles[paint[start]]) for start, end in pairwise(ends)]

    def text(self) -> str:
        """The characters alone, spaces at line ends left out."""
        return "\n".join("".join(map(chr, row)).rstrip() for row in self.codes.tolist())

    def changes(self, old: "Canvas") -> list[tuple[int, int, int]]:
        """Where this differs from another of the same size: (row, first column, columns), one stretch a row at most."""
        numbers = np.array([self.style(name) for name in old.styles], np.uint8)
        differs = (self.codes != old.codes) | (self.paint != numbers[old.paint])
        found = []
        for row in np.flatnonzero(differs.any(1)).tolist():
            columns = np.flatnonzero(differs[row])
            found.append((row, int(columns[0]), int(columns[-1] - columns[0] + 1)))
        return found


def _is_braille(codes: Codes) -> NDArray[np.bool_]:
    return (codes >= 0x2800) & (codes < 0x2900)
