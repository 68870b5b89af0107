"""The images of several coming steps, made at once: small operations for each batch are a fifth of a tiny network's step."""

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from torch import Tensor

BLOCK = 1 << 16
"""Values made at once: what stays in a core's cache. Larger images come batch by batch, as they would without blocks."""
ALIGNED = 16
"""A batch begins at a multiple of so many values, like one that is made alone: where a matrix begins may move its rounding."""


class Ordered:
    """Places in the order in which they will be asked for: batches that are views of these may be made ahead."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[int, Tensor] = WeakValueDictionary()

    def add(self, places: Tensor) -> None:
        """Places (N,) that are a tensor of their own, for as long as somebody holds it."""
        self._known[id(places)] = places

    def of(self, ids: Tensor) -> Tensor | None:
        """The places that a batch is an unbroken part of, beginning at `ids.storage_offset()`."""
        whole = ids._base
        if whole is None or self._known.get(id(whole)) is not whole or ids.stride(0) != 1:
            return None
        return whole


@dataclass
class Block:
    """Images of the places [first, end) of an order. Each is handed out once: whoever gets it may change it in place."""

    order: Tensor
    first: int
    end: int
    x: Tensor
    """float (end - first, C, H, W), in [0, 1]"""
    y: Tensor
    ready: Tensor | None = None
    """The same, standardised: made when the first batch comes to that stage untouched."""
    given: int = 0
    """Places below this one were handed out."""
    last: Tensor | None = None
    """The images handed out last, until they are standardised."""
    at: int = 0
    """Where those begin in the block."""

    def part(self, ids: Tensor) -> tuple[Tensor, Tensor] | None:
        """Images and labels of a batch, unless they lie elsewhere or were handed out before."""
        if ids._base is not self.order or ids.stride(0) != 1:
            return None
        begin, count = int(ids.storage_offset()), len(ids)
        if begin < self.given or begin + count > self.end or (begin - self.first) * self.x.stride(0) % ALIGNED:
            return None
        self.given, self.at = begin + count, begin - self.first
        # Through `data`, so that autograd sees no change where another part is changed in place.
        self.last = self.x.data.narrow(0, self.at, count)
        return self.last, self.y.narrow(0, self.at, count)

    def standardised(self, x: Tensor, standardise: Callable[[Tensor], Tensor]) -> Tensor | None:
        """The same images from the block, where these are the ones handed out last and nothing has changed them since."""
        if x is not self.last or x._version:
            return None
        if self.ready is None:
            self.ready = standardise(self.x)
        self.last = None
        return self.ready.data.narrow(0, self.at, len(x))


def reach(ids: Tensor, order: Tensor, values: int) -> int:
    """How far a block that begins with this batch goes; its own end where it is as large as a block, or ill aligned."""
    begin, count = int(ids.storage_offset()), len(ids)
    whole = BLOCK // max(1, count * values) * count
    if whole <= count or count * values % ALIGNED:
        return begin + count
    return min(begin + whole, len(order))
