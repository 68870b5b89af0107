"""What a mirror holds of a file on the other side, told by checksums, so that a new connection sends only what is missing."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

BLOCK = 64 * 1024
Read = Callable[[int, int], bytes]
"""The bytes of a file from an offset up to another; fewer where it ends before."""


@dataclass
class Held:
    """Offsets are those of the file on the far side; the first `base` bytes may be held in another form (a sketch)."""

    base: int = 0
    crc: int = 0
    """Of the bytes before `base`."""
    size: int = 0
    blocks: list[int] = field(default_factory=list)
    """Checksums of each BLOCK bytes from `base` on; the last block may be short."""

    def add(self, data: bytes) -> None:
        """Bytes that follow."""
        while data:
            inside = (self.size - self.base) % BLOCK
            part, data = data[: BLOCK - inside], data[BLOCK - inside :]
            if inside:
                self.blocks[-1] = zlib.crc32(part, self.blocks[-1])
            else:
                self.blocks.append(zlib.crc32(part))
            self.size += len(part)

    def cut(self, size: int) -> None:
        """Forget the bytes from `size` on, the beginning of a block. ValueError where it is none."""
        blocks, inside = divmod(size - self.base, BLOCK)
        if inside or not 0 <= blocks <= len(self.blocks):
            raise ValueError(f"no block begins at {size}")
        self.size, self.blocks = size, self.blocks[:blocks]

    def tail_holds(self, read: Read) -> bool:
        """Whether the last block is what the file has there now."""
        return not self.blocks or self._holds(len(self.blocks) - 1, read)

    def agreed(self, read: Read) -> int:
        """Up to which beginning of a block, or end, the file is what is held; -1 where not even the base is."""
        if checksum(read, self.base) != self.crc:
            return -1
        wrong = (index for index in range(len(self.blocks)) if not self._holds(index, read))
        first = next(wrong, None)
        return self.size if first is None else self.base + first * BLOCK

    def _holds(self, index: int, read: Read) -> bool:
        begin = self.base + index * BLOCK
        end = min(begin + BLOCK, self.size)
        now = read(begin, end)
        return len(now) == end - begin and zlib.crc32(now) == self.blocks[index]

    @classmethod
    def told(cls, raw: Any) -> Self:
        """From JSON. Raises ValueError, KeyError or TypeError where it is something else."""
        base, crc, size, blocks = (raw[name] for name in ("base", "crc", "size", "blocks"))
        if not all(type(number) is int and number >= 0 for number in (base, crc, size, *blocks)):
            raise ValueError("whole numbers are expected")
        if len(blocks) != -(-(size - base) // BLOCK) or size < base:
            raise ValueError("as many checksums as blocks are expected")
        return cls(base, crc, size, list(blocks))


def checksum(read: Read, end: int) -> int:
    """Of the bytes before `end`; -1 where the file is shorter."""
    crc = 0
    for begin in range(0, end, BLOCK):
        data = read(begin, min(begin + BLOCK, end))
        if len(data) < min(BLOCK, end - begin):
            return -1
        crc = zlib.crc32(data, crc)
    return crc
