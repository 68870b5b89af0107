"""Several things timed in turn, so that whatever else the machine does strikes all of them. Needs no torch."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

Lane = Callable[[int], float]
"""Does so many steps; returns the seconds that they took."""


class Spread(NamedTuple):
    """Of several rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The middle, the lowest and the highest."""
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f}-{self.high:.3f})"


def in_turn(lanes: Mapping[str, Lane], steps: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each lane in each round; another one begins in each."""
    names = list(lanes)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            taken[name].append(lanes[name](steps))
    return taken


def shares(taken: Mapping[str, Sequence[float]], of: str) -> dict[str, Spread]:
    """How fast each lane is, as a share of one of them in the same round."""
    return {name: Spread.of([base / own for base, own in zip(taken[of], every, strict=True)]) for name, every in taken.items()}
