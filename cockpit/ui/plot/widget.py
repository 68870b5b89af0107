"""The curve widget: keeps thinned columns, draws on a canvas, and tells Textual only the cells that changed."""

from collections.abc import Sequence
from dataclasses import replace

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.color import Color
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from cockpit.ui.format import plain_terminal
from cockpit.ui.plot.canvas import ASCII, UNICODE, Canvas
from cockpit.ui.plot.chart import FOOT, TITLE, Curve, View, axis_of, draw, gutter
from cockpit.ui.plot.scale import grown
from cockpit.ui.plot.series import Mark, Series
from cockpit.ui.plot.smooth import WEIGHTS
from cockpit.ui.plot.thin import Span, Thinner
from cockpit.ui.plot.window import Window


class CurvePlot(Widget):
    """Curves over the steps of a run. Keys belong to the screen, which calls the methods; wheel and click work here."""

    COMPONENT_CLASSES = {"curve-plot--title", "curve-plot--axis", "curve-plot--grid", "curve-plot--cursor"}
    DEFAULT_CSS = """
    CurvePlot {
        height: 1fr;
        & > .curve-plot--title { color: $foreground; }
        & > .curve-plot--axis { color: $foreground 60%; }
        & > .curve-plot--grid { color: $foreground 20%; }
        & > .curve-plot--cursor { color: $foreground 60%; }
    }
    """

    log_scale = reactive(False, init=False)
    smoothing = reactive(0, init=False)
    """0 none; 1, 2 a moving average over a faint band of the raw values."""
    window = reactive(Window(), init=False)

    def __init__(
        self, *, waiting: str = "waiting for the first step", id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._waiting = waiting
        self._series: tuple[Series, ...] = ()
        self._marks: tuple[Mark, ...] = ()
        self._thinners: dict[str, Thinner] = {}
        self._x_scale = 1.0
        self._x_unit, self._y_unit = "epoch", ""
        self._left = 6
        self._glyphs = ASCII if plain_terminal() else UNICODE
        self._canvas = Canvas(0, 0)
        self._styles: dict[str, Style] = {}

    def show(
        self,
        series: Sequence[Series],
        marks: Sequence[Mark] = (),
        x_max: float | None = None,
        *,
        x_scale: float = 1.0,
        x_unit: str = "epoch",
        y_unit: str = "",
    ) -> None:
        """Show these curves. `x_max` is the end of the planned run, `x_scale` the x of one `x_unit`: the steps of an epoch."""
        self._series, self._marks = tuple(series), tuple(marks)
        self._x_scale, self._x_unit, self._y_unit = x_scale, x_unit, y_unit
        kept = {curve.label for curve in self._series}
        self._thinners = {label: thinner for label, thinner in self._thinners.items() if label in kept}
        length = max(x_max, self._newest()) if x_max else grown(self._newest())
        self.set_reactive(CurvePlot.window, self.window.of(length))
        self._redraw()

    # What the keys do.

    def toggle_log(self) -> None:
        """Switch the value axis between linear and logarithmic."""
        self.log_scale = not self.log_scale

    def cycle_smoothing(self) -> None:
        """Next level of smoothing, from the last one back to none."""
        self.smoothing = (self.smoothing + 1) % len(WEIGHTS)

    def zoom_in(self) -> None:
        """Show half of the time axis, around the cursor or else around the newest points."""
        self.window = self.window.zoomed(self.window.zoom * 2, self._newest())

    def zoom_out(self) -> None:
        """Show twice as much of the time axis."""
        self.window = self.window.zoomed(self.window.zoom // 2, self._newest())

    def pan(self, direction: int) -> None:
        """Move the view by a quarter of its width; nothing moves while the whole run is in view."""
        self.window = self.window.panned(direction)

    def move_cursor(self, by: int) -> None:
        """Move the read-out by columns; the first call puts it on the newest point in view."""
        start, end = self.window.span
        at = self._newest() if self.window.cursor is None else self.window.cursor + by * (end - start) / self._width
        self.window = self.window.pointed(at, self._width)

    def clear_cursor(self) -> None:
        """Show the legend again."""
        self.window = replace(self.window, cursor=None)

    def show_whole(self) -> None:
        """Show the whole run, without a cursor."""
        self.window = Window(self.window.length)

    def _newest(self) -> float:
        return max((float(curve.x[-1]) for curve in self._series if len(curve.x)), default=0.0)

    # Drawing.

    @property
    def _width(self) -> int:
        return max(self.size.width - self._left, 1)

    def _redraw(self) -> None:
        """Draw anew, and have the cells that changed sent to the terminal."""
        if not self.size or not self.is_attached:
            return
        old, self._canvas = self._canvas, self._picture()
        if old.codes.shape != self._canvas.codes.shape:
            self.refresh()
        elif changes := self._canvas.changes(old):
            self.refresh(*(Region(column, row, width, 1) for row, column, width in changes))

    def _picture(self) -> Canvas:
        canvas = Canvas(*self.size)
        rows = self.size.height - TITLE - FOOT
        scale = (self._x_scale, self._x_unit, self._y_unit)
        view = View(self.window, self.log_scale, self.smoothing, *scale, self._glyphs)
        curves = self._curves(view.span)
        axis = axis_of(curves, view, rows)
        if rows < 1 or self._width < 4 or axis is None:
            return self._quiet(canvas, curves)
        if (left := gutter(axis, view, rows)) != self._left:
            # The labels need another width, and so the curves other columns; lowest and highest values stay the same.
            self._left = left
            curves = self._curves(view.span)
        draw(canvas, curves, self._marks, axis, view, self._left)
        return canvas

    def _curves(self, span: Span) -> list[Curve]:
        columns = self._width * self._glyphs.dots[0]
        return [
            (curve, self._thinners.setdefault(curve.label, Thinner()).update(curve.x, curve.y, columns, span, curve.sparse))
            for curve in self._series
        ]

    def _quiet(self, canvas: Canvas, curves: Sequence[Curve]) -> Canvas:
        """One sentence in place of curves."""
        words = self._waiting
        if any(columns.count.any() for _, columns in curves):
            words = "no value above 0: a log axis cannot show it" if self.log_scale else "too small to draw"
        elif any(columns.bad.any() for _, columns in curves):
            words = "every value is NaN or infinite"
        elif self.window.zoom > 1:
            words = "nothing in this part yet"
        canvas.put(self.size.height // 2, max((self.size.width - len(words)) // 2, 0), words, "axis")
        return canvas

    def render_line(self, y: int) -> Strip:
        """One row of the canvas."""
        if y >= self._canvas.codes.shape[0]:
            return Strip.blank(self.size.width, self.rich_style)
        return Strip([Segment(text, self._style(style)) for text, style in self._canvas.runs(y)], self._canvas.codes.shape[1])

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = self._resolve(name)
        return self._styles[name]

    def _resolve(self, name: str) -> Style:
        """The style behind a name: a part of the plot, a theme variable, or `faint` and a theme variable."""
        if not name:
            return self.rich_style
        faint = name.startswith("faint ")
        if f"curve-plot--{name}" in self.COMPONENT_CLASSES:
            color = self.get_component_styles(f"curve-plot--{name}").color
        else:
            color = Color.parse(self.app.theme_variables.get(name.removeprefix("faint "), "white"))
            color = color.multiply_alpha(0.4) if faint else color
        if color.ansi is not None:  # the terminal's own palette does not blend
            return self.rich_style + Style(color=color.rich_color, dim=faint or name in ("axis", "grid"))
        return self.rich_style + Style(color=(self.background_colors[1] + color).rich_color)

    # What Textual tells us.

    def notify_style_update(self) -> None:
        """Forget the colours of the old theme."""
        super().notify_style_update()
        self._styles = {}

    def on_resize(self) -> None:
        """Draw at the new size."""
        self._redraw()

    def watch_log_scale(self) -> None:
        """Draw on the other axis."""
        self._redraw()

    def watch_smoothing(self) -> None:
        """Draw at the new level."""
        self._redraw()

    def watch_window(self) -> None:
        """Draw the new view."""
        self._redraw()

    def on_click(self, event: events.Click) -> None:
        """Read out the column clicked on."""
        column = event.x - self._left
        if 0 <= column < self._width:
            start, end = self.window.span
            self.window = self.window.pointed(start + (column + 0.5) * (end - start) / self._width, self._width)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        event.stop()
        self.zoom_in()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        event.stop()
        self.zoom_out()
