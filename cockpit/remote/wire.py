"""Frames between a feed and a mirror: JSON that says what it is, then bytes. Bounded, since the far side may be anything."""

import json
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

VERSION = 1
"""Changes with whatever a mirror of before would refuse, a new table included."""
GREETING = re.compile(rb"cockpit-feed (\d{1,4})\n")
"""What a feed says first, uncompressed; all that it says after it is one zlib stream."""
NOISE = 64 * 1024
"""Bytes that a login script may print before the greeting."""
MOST = 1 << 20
"""Bytes of a frame's JSON, and of its body."""
PORTION = 1 << 16
"""Bytes unpacked at once."""
LENGTHS = struct.Struct(">II")


class WireError(Exception):
    """The far side does not speak the protocol; the text is one clause for the user."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    kind: str
    said: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""


def packed(kind: str, body: bytes = b"", **said: Any) -> bytes:
    """A frame as it travels."""
    head = json.dumps({**said, "kind": kind}, separators=(",", ":")).encode()
    return LENGTHS.pack(len(head), len(body)) + head + body


def printable(text: object) -> str:
    """One line that no terminal can be driven by."""
    return "".join(char for char in str(text)[:4096] if char.isprintable())


class Unpacker:
    """Bytes as they come -> frames. Raises WireError."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes in; the frames that they complete."""
        self._bytes += data
        while frame := self._next():
            yield frame

    def _next(self) -> Frame | None:
        if len(self._bytes) < LENGTHS.size:
            return None
        head, body = LENGTHS.unpack_from(self._bytes)
        if head > MOST or body > MOST:
            raise WireError("it sent a frame larger than any that a feed sends")
        begin, end = LENGTHS.size + head, LENGTHS.size + head + body
        if len(self._bytes) < end:
            return None
        try:
            said = json.loads(self._bytes[LENGTHS.size : begin])
            kind = said.pop("kind")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise WireError("it sent a frame that says nothing") from error
        frame = Frame(str(kind), said, bytes(self._bytes[begin:end]))
        del self._bytes[:end]
        return frame


class Inlet(Unpacker):
    """What comes from a feed: noise, the greeting, then frames in a compressed stream. Raises WireError."""

    def __init__(self) -> None:
        super().__init__()
        self._before = b""
        self._stream = zlib.decompressobj()
        self.version = 0
        """Of the far side; 0 until it has greeted."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes in; the frames that they complete. What unpacks without end fills no memory."""
        if not self.version:
            data = self._greeted(data)
        while data:
            try:
                plain = self._stream.decompress(data, PORTION)
            except zlib.error as error:
                raise WireError("its stream is damaged") from error
            data = self._stream.unconsumed_tail
            yield from super().feed(plain)

    def _greeted(self, data: bytes) -> bytes:
        """What follows the greeting, once it is there."""
        self._before += data
        match = GREETING.search(self._before)
        if match is None:
            if len(self._before) > NOISE:
                raise WireError("what answers there is no cockpit")
            return b""
        if int(match[1]) != VERSION:
            there = f"version {int(match[1])} of the feed and this cockpit version {VERSION}"
            raise WireError(f"it speaks {there}: install the same cockpit on both")
        self.version = VERSION
        return self._before[match.end() :]
