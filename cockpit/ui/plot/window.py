"""Which part of the time axis is in view, and where the cursor stands."""

from dataclasses import dataclass, replace

from cockpit.ui.plot.thin import Span

MAX_ZOOM = 1024


@dataclass(frozen=True)
class Window:
    """A view of an axis from 0 to `length`, of which it shows one part in `zoom`, from `start` on."""

    length: float = 1.0
    start: float = 0.0
    zoom: int = 1
    cursor: float | None = None
    """The x that the title line reads out; within the view."""

    @property
    def span(self) -> Span:
        """The x range in view."""
        return self.start, self.start + self.length / self.zoom

    def of(self, length: float) -> "Window":
        """The same view of an axis of another length."""
        return self if length == self.length else replace(self, length=length)._held()

    def zoomed(self, zoom: int, newest: float) -> "Window":
        """Zoom about the cursor, or else about the newest point in view: it keeps its place on the screen."""
        zoom = min(max(zoom, 1), MAX_ZOOM)
        start, end = self.span
        centre = min(max(newest if self.cursor is None else self.cursor, start), end)
        share = (centre - start) / (end - start)
        return replace(self, zoom=zoom, start=centre - share * self.length / zoom)._held()

    def panned(self, direction: int) -> "Window":
        """Move by a quarter of the view, the cursor with it."""
        step = direction * self.length / self.zoom / 4
        moved = replace(self, start=self.start + step)._held()
        return moved if self.cursor is None else moved.pointed(self.cursor + moved.start - self.start, 1)

    def pointed(self, x: float, columns: int) -> "Window":
        """Put the cursor at x, but not closer to the edges than the middle of the outer columns."""
        start, end = self.span
        half = (end - start) / columns / 2 if columns > 1 else 0.0
        return replace(self, cursor=min(max(x, start + half), end - half))

    def _held(self) -> "Window":
        """Keep the view within the axis, and the cursor within the view."""
        held = replace(self, start=min(max(self.start, 0.0), self.length - self.length / self.zoom))
        return held if held.cursor is None else held.pointed(held.cursor, 1)
