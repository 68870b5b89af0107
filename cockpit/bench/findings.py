"""What was measured, what limits it, and one thing to change. Needs no torch."""

from dataclasses import asdict, dataclass, field
from typing import Any

WORTH = 1.1
"""A change is named where it was tried and made things so many times as fast."""


@dataclass(frozen=True)
class Finding:
    """One line of `cockpit bench`."""

    part: str
    """disk, screen, machine, loop or data."""
    name: str
    said: str
    """The figures in words."""
    limit: str
    """What holds it at that."""
    change: str = ""
    """What to change; nothing where no change is worth it."""
    figures: dict[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def best_change(tried: dict[str, float]) -> str:
    """The change that made it fastest, of several (change -> times as fast); nothing where none is worth it."""
    change = max(tried, key=tried.__getitem__, default="")
    return f"{change}: {tried[change]:.2g} times as fast" if change and tried[change] >= WORTH else ""
