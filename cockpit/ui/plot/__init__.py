"""Curves on a terminal: what to draw (`Series`, `Mark`), the widget that draws it, and the same in plain text (`text`)."""

from typing import TYPE_CHECKING, Any

from cockpit.ui.plot.series import Mark, Series

if TYPE_CHECKING:
    from cockpit.ui.plot.widget import CurvePlot

__all__ = ["CurvePlot", "Mark", "Series"]


def __getattr__(name: str) -> Any:
    # The commands that print a curve import this package too; they must not pay for textual.
    if name == "CurvePlot":
        from cockpit.ui.plot.widget import CurvePlot

        return CurvePlot
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
