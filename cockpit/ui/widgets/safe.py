"""Nothing but printable characters leaves for the terminal: one filter at the way out, whatever a widget was given to draw."""

import re
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

DRIVES = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""Controls (C0, C1), direction and other format characters, line separators, halves of pairs: categories Cc, Cf, Zl, Zp, Cs."""


class SafeFilter(LineFilter):
    """Takes out what could drive a terminal or turn a text around; the width of a line stays as it was."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments, harmless. What textual itself sends to the terminal is no text and passes."""
        if not any(DRIVES.search(text) for text, _, control in segments if not control):
            return segments
        return [
            segment if segment.control else Segment(harmless(segment.text), segment.style, segment.control)
            for segment in segments
        ]


@lru_cache(4096)
def harmless(text: str) -> str:
    """The text without the characters that draw nothing; as many cells wide."""
    return set_cell_size(DRIVES.sub("", text), cell_len(text)) if DRIVES.search(text) else text
