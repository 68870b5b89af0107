"""A fault of a recipe: where it is, what was expected, and the nearest right thing."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A position in a file, counted from 1. Line 0: the file as a whole, or an edit."""

    file: str
    line: int = 0
    column: int = 0

    @property
    def of_edit(self) -> bool:
        """Whether it is the path of a `--set`."""
        return self.file.startswith("--set ")

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a recipe; `str()` is the sentence for the user."""

    file: str
    line: int
    column: int
    trail: str
    """The path of the value, such as `optimizer.lr`; empty at the top."""
    message: str
    hint: str = ""

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.file, self.line, self.column)

    def __str__(self) -> str:
        said = f"{self.message}; {self.hint}" if self.hint else self.message
        # The place of an edit is its path: it need not be said twice.
        trail = "" if self.file == f"--set {self.trail}" else self.trail
        return ": ".join(part for part in (str(self.place), trail, said) if part)


class RecipeError(Exception):
    """A recipe that cannot be used; `faults` holds everything that is wrong with it, in the order of the file."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line == 0, fault.line, fault.column)))
        super().__init__("\n".join(map(str, self.faults)))


def fault(place: Place, trail: str, message: str, hint: str = "") -> Fault:
    """A fault at a place."""
    return Fault(place.file, place.line, place.column, trail, message, hint)
