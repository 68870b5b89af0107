"""What a plot is given: curves, and marks on its time axis."""

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

Shape = Literal["solid", "dashed", "dotted", "marker"]


@dataclass(frozen=True, eq=False)
class Series:
    """One curve. `x` ascends; both arrays may be memory maps that grow from one `show` to the next."""

    label: str
    """Names the curve in the legend, and its cache: unique within a plot."""
    x: NDArray[Any]
    y: NDArray[Any]
    """Values; one that is not finite leaves a gap and a cross at the top."""
    style: Literal["line", "points"] = "line"
    color: str = "primary"
    """Name of a theme variable: primary, secondary, accent, warning, success ..."""
    shape: Shape = "solid"
    """How it is told apart without colour."""
    sparse: bool = False
    """NaN means *not measured at this step*: it is left out, and the line runs on over it."""


@dataclass(frozen=True)
class Mark:
    """Something that happened at a moment: an edit (▾ at the top) or a flag (▲ at the bottom)."""

    x: float
    label: str
    color: str = "accent"
    kind: Literal["edit", "flag"] = "edit"
