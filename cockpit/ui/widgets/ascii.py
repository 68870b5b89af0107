"""Every character the screen draws, in ASCII: one filter at the way out, so that nothing else has to think of it."""

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

LIKE = {
    "-": "─━╌┄╸–—",
    "=": "═",
    "|": "│┃║▎▏▌▐▕‖",
    "+": "╭╮╰╯┌┐└┘├┤┬┴┼",
    "_": "▁▂",
    "#": "▃▄▅▆▇█▊■",
    "o": "○◌□",
    "*": "●◆",
    "v": "✓▾",
    "x": "✗×",
    "^": "▲△",
    ">": "▸→",
    ".": "·…",
}
SIGNS = str.maketrans({sign: plain for plain, signs in LIKE.items() for sign in signs})


class AsciiFilter(LineFilter):
    """Replaces what a terminal without Unicode cannot show; the width of a line stays as it was."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments in ASCII."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]


@lru_cache(4096)
def to_ascii(text: str) -> str:
    """Known signs by their like, accents dropped, anything else a question mark a cell."""
    return text if text.isascii() else "".join(map(_ascii, text.translate(SIGNS)))


def _ascii(char: str) -> str:
    bare = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return bare if len(bare) == cell_len(char) else "?" * cell_len(char)
