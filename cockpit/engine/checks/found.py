"""What a check found."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Found:
    """Frozen plain data, for the command line and for the screen."""

    name: str
    ok: bool
    """False where the user should do something before training."""
    headline: str
    """One sentence with the numbers that matter."""
    lines: tuple[str, ...] = ()
    """More of it, a line each."""
    numbers: dict[str, float] = field(default_factory=dict)
    curve: tuple[tuple[float, float], ...] = ()
    """Points to draw."""
    axes: tuple[str, str] = ("", "")
    """What the curve's x and y are."""
    histograms: dict[str, tuple[float, float, tuple[int, ...]]] = field(default_factory=dict)
    """Layer -> (least, largest, counts)."""

    def plain(self) -> dict[str, Any]:
        """JSON data; what is not finite is null."""
        numbers = {name: value if math.isfinite(value) else None for name, value in self.numbers.items()}
        return {**vars(self), "numbers": numbers, "curve": [list(point) for point in self.curve]}
