"""Pictures with letters on them, as rows of characters: half blocks in colour, or shades in ASCII."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cockpit.runs.thumbnails import SHADES, half_blocks, shaded

Piece = tuple[str, str]
"""Text and its style."""
Letters = Mapping[tuple[int, int], Piece]
"""(row, column) of a character -> the letter that stands there, and its colour."""


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture, two pixels to a character, with its title."""

    title: str
    colour: NDArray[np.uint8]
    """(2 * rows, columns, 3)"""
    grey: NDArray[np.uint8]
    """(2 * rows, columns): what is shaded where there are no colours."""
    letters: Letters = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Characters."""
        return len(self.colour[0])

    def rows(self, *, plain: bool) -> list[list[Piece]]:
        """The title, where there is one, and the picture, each row `width` characters wide."""
        if plain:
            drawn: list[list[Piece]] = [[(sign, "") for sign in row] for row in shaded(self.grey[:, :, None])]
        else:
            drawn = half_blocks(self.colour)
        for (row, column), (letter, ink) in self.letters.items():
            drawn[row][column] = (letter, "" if plain else f"bold {ink} on {self._ground(row, column)}")
        title: list[Piece] = [(self.title[: self.width].ljust(self.width), "")]
        return [title, *drawn] if self.title else drawn

    def _ground(self, row: int, column: int) -> str:
        """The mean of a character's two pixels."""
        mean = self.colour[2 * row : 2 * row + 2, column].astype(int).mean(axis=0).astype(int)
        return "#{:02x}{:02x}{:02x}".format(*mean.tolist())


@dataclass(frozen=True, eq=False)
class Curve:
    """A line for a chart, after the pictures."""

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Page:
    """All that a terminal shows of a demonstration."""

    panels: tuple[Panel, ...]
    lines: tuple[str, ...]
    curves: tuple[Curve, ...] = ()
    """The first is what was learned, the others are what it is held against."""
    gap: int = 2

    def rows(self, width: int, *, plain: bool) -> list[list[Piece]]:
        """The panels, as many side by side as fit into `width` characters."""
        panels = list(self.panels)
        rows: list[list[Piece]] = []
        while panels:
            beside = [panels.pop(0)]
            while panels and sum(panel.width + self.gap for panel in beside) + panels[0].width <= width:
                beside.append(panels.pop(0))
            rows += _beside([panel.rows(plain=plain) for panel in beside], self.gap)
        return rows


def _beside(blocks: Sequence[Sequence[list[Piece]]], gap: int) -> list[list[Piece]]:
    """Blocks of one height in one row."""
    blank: list[Piece] = [(" " * gap, "")]
    return [
        [piece for number, row in enumerate(rows) for piece in (blank * bool(number) + row)]
        for rows in zip(*blocks, strict=True)
    ]


def ramp(stops: Sequence[tuple[int, int, int]], share: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Shares in [0, 1] of any shape -> colours between the stops, one more axis of 3."""
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(share, at, [stop[channel] for stop in stops]) for channel in range(3)], axis=-1).astype(np.uint8)


def pale(share: NDArray[np.float64], shades: int = 5) -> NDArray[np.uint8]:
    """Shares in [0, 1] -> greys of the first `shades` ASCII shades, on which letters can be read."""
    level = (share * shades).astype(int).clip(0, shades - 1)
    return ((level + 0.5) * 256 / len(SHADES)).astype(np.uint8)
