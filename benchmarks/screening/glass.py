"""A terminal's screen, as far as the cockpit writes to one: places, texts, and sequences that are counted and dropped."""

import re
from codecs import getincrementaldecoder

TOKEN = re.compile(
    r"\x1b\[(\d+);(\d+)H|\x1b\[(\d+)C|\x1b\[[0-9;?>=<$ ]*[a-zA-Z]|\x1b[PX^_\]].*?(?:\x07|\x1b\\)|([\r\n])|([^\x1b\r\n]+)",
    re.DOTALL,
)
"""A place, cells to the right, any other sequence, a string for the terminal, an end of line, a text."""


class Glass:
    """What stands on the screen after some bytes."""

    def __init__(self, columns: int, rows: int) -> None:
        self._cells = [[" "] * columns for _ in range(rows)]
        self._at = [0, 0]
        self._rest, self._decode = "", getincrementaldecoder("utf-8")().decode

    def feed(self, data: bytes) -> None:
        """Take bytes in; a sequence that is torn at their end waits for its rest."""
        said = self._rest + self._decode(data)
        torn = said.rfind("\x1b")
        end = torn if torn >= 0 and not TOKEN.match(said, torn) else len(said)
        said, self._rest = said[:end], said[end:]
        for found in TOKEN.finditer(said):
            if found[1]:
                self._at = [int(found[1]) - 1, int(found[2]) - 1]
            elif found[3]:
                self._at[1] += int(found[3])
            elif found[4]:
                self._feed(found[4])
            elif found[5]:
                self._put(found[5])

    def _feed(self, sign: str) -> None:
        """A line feed, at which the last line moves up, or a carriage return."""
        if sign == "\r":
            self._at[1] = 0
        elif self._at[0] + 1 < len(self._cells):
            self._at[0] += 1
        else:
            self._cells = [*self._cells[1:], [" "] * len(self._cells[0])]

    def _put(self, text: str) -> None:
        y, x = self._at
        if y < len(self._cells):
            row = self._cells[y]
            row[x : x + len(text)] = text[: len(row) - x]
        self._at[1] += len(text)

    @property
    def text(self) -> str:
        """Its lines."""
        return "\n".join("".join(row) for row in self._cells)
