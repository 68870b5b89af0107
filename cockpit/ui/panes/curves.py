"""The loss and accuracy panes."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cockpit.ui.model.curves import Curves
from cockpit.ui.model.view import View
from cockpit.ui.panes.base import Pane
from cockpit.ui.plot.series import Series
from cockpit.ui.plot.widget import CurvePlot


class CurvePane(Pane, can_focus=True):
    """One plot."""

    HELP_TITLE = "Plots"
    SMOOTHING: ClassVar[int] = 1
    """The level to begin with: the noise of single batches would bury the validation curve; its band stays in view."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "log", "Log scale", show=False, tooltip="Switch the value axis between linear and logarithmic"),
        Binding("z", "smooth", "Smooth", show=False, tooltip="Smooth more, or not at all"),
        Binding("up,plus", "zoom(1)", "Zoom in", show=False, key_display="up +"),
        Binding("down,minus", "zoom(-1)", "Zoom out", show=False, key_display="down -"),
        Binding("right", "cursor(1)", "Read a point", show=False, key_display="left right"),
        Binding("left", "cursor(-1)", show=False),
        Binding("ctrl+right", "pan(1)", "Pan", show=False, key_display="ctrl+left right"),
        Binding("ctrl+left", "pan(-1)", show=False),
        Binding("escape", "whole", "Whole run", show=False, tooltip="Take the read-out away and show the whole run"),
    ]

    def compose(self) -> ComposeResult:
        """The plot."""
        plot = CurvePlot(waiting="the curves come with the first step")
        plot.set_reactive(CurvePlot.smoothing, self.SMOOTHING)
        yield plot

    def part(self, view: View) -> Curves:
        """The curves: new at every poll that brought something; the plot itself draws only what changed."""
        return view.curves

    @property
    def plot(self) -> CurvePlot:
        """The plot inside."""
        return self.query_one(CurvePlot)

    def hand_on(self, series: Sequence[Series], part: Curves) -> None:
        """Show some series with the marks and the axis of the run."""
        self.plot.show(series, part.marks, part.x_max, x_scale=part.epoch_steps)

    def take_focus(self) -> None:
        """The pane itself has the keys."""
        self.focus()

    def action_log(self) -> None:
        """Linear or logarithmic."""
        self.plot.toggle_log()

    def action_smooth(self) -> None:
        """Smooth more, or not at all."""
        self.plot.cycle_smoothing()

    def action_zoom(self, direction: int) -> None:
        """In or out."""
        (self.plot.zoom_in if direction > 0 else self.plot.zoom_out)()

    def action_cursor(self, by: int) -> None:
        """Move the read-out."""
        self.plot.move_cursor(by)

    def action_pan(self, direction: int) -> None:
        """Move the view."""
        self.plot.pan(direction)

    def action_whole(self) -> None:
        """Back to the legend and the whole run."""
        self.plot.show_whole()


class LossPane(CurvePane):
    """Training and validation loss."""

    TITLE = "Loss"

    def draw(self, part: Curves) -> None:
        """Hand the curves on."""
        self.hand_on(part.loss, part)


class AccuracyPane(CurvePane):
    """Training and validation accuracy."""

    TITLE = "Accuracy"

    def draw(self, part: Curves) -> None:
        """Hand the curves on."""
        self.hand_on(part.accuracy, part)
