"""The curve widget: keeps thinned columns, draws on a canvas, and tells Textual only the cells that changed."""

from collections.abc import Sequence

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

MAX_ZOOM = 1024


class CurvePlot(Widget):
    """Curves over the steps of a run. Keys belong to the screen, which calls the methods; wheel and click work here."""

    COMPONENT_CLASSES = {"curve-plot--title", "curve-plot--axis", "curve-plot--grid", "curve-plot--cursor"}
    DEFAULT_CSS = """
    CurvePlot {
        height: 1fr;
        & > .curve-plot--title { color: $foreground; }
        & > .curve-plot--axis { color: $foreground 60%; }
        & > .curve-plot--grid { color: $foreground 15%; }
        & > .curve-plot--cursor { color: $accent 70%; }
    }
    """

    log_scale = reactive(False, init=False)
    """Logarithmic value axis."""
    smoothing = reactive(0, init=False)
    """0 none; 1, 2 a moving average over a faint band of the raw values."""
    zoom = reactive(1, init=False)
    cursor: reactive[float | None] = reactive(None, init=False)
    """The x that the title line reads out."""

    def __init__(
        self, *, waiting: str = "waiting for the first step", id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._waiting = waiting
        self._series: tuple[Series, ...] = ()
        self._marks: tuple[Mark, ...] = ()
        self._thinners: dict[str, Thinner] = {}
        self._x_max: float | None = None
        self._x_scale = 1.0
        self._x_unit, self._y_unit = "epoch", ""
        self._start = 0.0
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
        self._x_max, self._x_scale, self._x_unit, self._y_unit = x_max, x_scale, x_unit, y_unit
        kept = {curve.label for curve in self._series}
        self._thinners = {label: thinner for label, thinner in self._thinners.items() if label in kept}
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
        self._zoom_to(self.zoom * 2)

    def zoom_out(self) -> None:
        """Show twice as much of the time axis."""
        self._zoom_to(self.zoom // 2)

    def pan(self, direction: int) -> None:
        """Move the view by a quarter of its width; nothing moves while the whole run is in view."""
        start, end = self.span
        self._start = self._held(start + direction * (end - start) / 4, self.zoom)
        self._redraw()

    def move_cursor(self, by: int) -> None:
        """Move the read-out by columns; the first call puts it on the newest point in view."""
        start, end = self.span
        cell = (end - start) / max(self._width, 1)
        at = min(self._newest(), end) if self.cursor is None else self.cursor + by * cell
        self.cursor = min(max(at, start + cell / 2), end - cell / 2)

    def clear_cursor(self) -> None:
        """Show the legend again."""
        self.cursor = None

    @property
    def span(self) -> Span:
        """The x range in view."""
        length = self._length()
        start = self._held(self._start, self.zoom)
        return start, start + length / self.zoom

    def _length(self) -> float:
        return self._x_max if self._x_max else grown(self._newest())

    def _newest(self) -> float:
        return max((float(curve.x[-1]) for curve in self._series if len(curve.x)), default=0.0)

    def _held(self, start: float, zoom: int) -> float:
        length = self._length()
        return min(max(start, 0.0), length - length / zoom)

    def _zoom_to(self, zoom: int) -> None:
        zoom = min(max(zoom, 1), MAX_ZOOM)
        start, end = self.span
        centre = self.cursor if self.cursor is not None else min(self._newest(), end)
        # The centre keeps its place on the screen, so that zooming does not lose it.
        share = min(max((centre - start) / (end - start), 0.0), 1.0)
        self._start = self._held(centre - share * self._length() / zoom, zoom)
        self.zoom = zoom

    # Drawing.

    @property
    def _width(self) -> int:
        return self.size.width - self._left

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
        view = View(self.span, self.log_scale, self.smoothing, self.cursor, *scale, self.zoom, self._glyphs)
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
        columns = max(self._width, 1) * self._glyphs.dots[0]
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
        elif any(len(curve.x) for curve in self._series) and self.zoom > 1:
            words = "nothing here yet"
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
        base = self.rich_style
        if name in ("title", "axis", "grid", "cursor"):
            return base + self.get_component_rich_style(f"curve-plot--{name}", partial=True)
        if not name:
            return base
        variable = name.removeprefix("faint ")
        color = Color.parse(self.app.theme_variables.get(variable, "white"))
        if variable != name:
            color = color.blend(self.background_colors[1], 0.6)
        return base + Style(color=color.rich_color)

    # What Textual tells us.

    def notify_style_update(self) -> None:
        """Forget the colours of the old theme."""
        super().notify_style_update()
        self._styles = {}

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._forget_colors())

    def _forget_colors(self) -> None:
        self._styles = {}
        self.refresh()

    def on_resize(self) -> None:
        """Draw at the new size."""
        self._redraw()

    def watch_log_scale(self) -> None:
        """Draw on the other axis."""
        self._redraw()

    def watch_smoothing(self) -> None:
        """Draw at the new level."""
        self._redraw()

    def watch_zoom(self) -> None:
        """Draw the new view."""
        self._redraw()

    def watch_cursor(self) -> None:
        """Read out another column."""
        self._redraw()

    def on_click(self, event: events.Click) -> None:
        """Read out the column clicked on."""
        column = event.x - self._left
        if 0 <= column < self._width:
            start, end = self.span
            self.cursor = start + (column + 0.5) * (end - start) / self._width

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        event.stop()
        self.zoom_in()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        event.stop()
        self.zoom_out()
