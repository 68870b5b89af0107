"""The layers pane: a line a layer with its gradient norm over time, dead and stuck shares, update ratio and weight spread."""

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import Static

from cockpit.ui.model.layers import Answers, LayerRow
from cockpit.ui.model.view import View
from cockpit.ui.panes.base import Pane
from cockpit.ui.widgets.lines import Lines
from cockpit.ui.widgets.spark import sparkline

EMPTY = "measured after the first steps"
SHARES = {"dead": 6, "stuck": 6}
"""Columns that are there only where something was counted, and their cells: never active, and at the ends of a sigmoid."""


class Rows(Static):
    """A line for each layer; only those in view are drawn, for a network may have a thousand."""

    def __init__(self) -> None:
        super().__init__(classes="rows")
        self._rows: Sequence[LayerRow] = ()
        self._line: Callable[[LayerRow], Content] = lambda row: Content(row.name)

    def show(self, rows: Sequence[LayerRow], line: Callable[[LayerRow], Content]) -> None:
        """Show other rows, or the same in other columns."""
        taller = len(rows) != len(self._rows)
        self._rows, self._line = rows, line
        self.refresh(layout=taller)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as layers."""
        return len(self._rows)

    def render_line(self, y: int) -> Strip:
        """One layer."""
        if y >= len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        return Visual.to_strips(self, self._line(self._rows[y]), self.size.width, 1, self.visual_style)[0].simplify()


class LayersPane(Pane):
    """What happens in each layer."""

    TITLE = "[u]L[/u]ayers"

    def compose(self) -> ComposeResult:
        """Headings that stay, rows that scroll."""
        yield Lines(classes="headings")
        with VerticalScroll():
            yield Rows()
        yield Lines(classes="answers")

    def part(self, view: View) -> tuple[tuple[LayerRow, ...], Answers | None]:
        """The rows, and what the network answers."""
        return view.layers, view.answers

    def draw(self, part: tuple[tuple[LayerRow, ...], Answers | None]) -> None:
        """The rows, and below them a line of what comes out."""
        rows, seen = part
        self._draw_rows(rows)
        line = self.query_one(".answers", Lines)
        line.display = seen is not None
        if seen:
            bars = sparkline(seen.histogram, len(seen.histogram)) + " " if seen.histogram else ""
            said = f"{seen.span}\n      {seen.words}"
            line.update(Content.assemble("  out ", (bars, "$primary"), (said, "$foreground 60%")))

    def _draw_rows(self, part: tuple[LayerRow, ...]) -> None:
        """Columns as wide as the pane allows: the sparkline takes what the names leave, the weights' spread leaves first."""
        width = max(24, self.content_size.width - 1)
        longest = max((len(row.name) for row in part), default=5)
        known = {"dead": any(row.dead != "-" for row in part), "stuck": any(row.saturated != "-" for row in part)}
        shown = [name for name in SHARES if known[name]]
        numbers = sum(SHARES[name] for name in shown) + 7
        spread = width >= longest + 6 + numbers + 7
        numbers += 7 * spread
        name = max(5, min(longest, width - numbers - 7))
        spark = max(4, min(16, width - name - numbers - 3))
        shares = "".join(f"{word:>{SHARES[word]}}" for word in shown)
        head = f"  {'layer':<{name}} {'grad norm' if spark >= 9 else 'grad':<{spark}}{shares} update{'    std' * spread}"
        self.query_one(".headings", Lines).update(Content.styled(head if part else EMPTY, "$foreground 60%"))
        self.query_one(Rows).show(part, lambda row: _row(row, name, spark, shown, spread))


def _row(row: LayerRow, name: int, spark: int, shown: list[str], spread: bool) -> Content:
    # The tail of a dotted name tells layers apart; its head is the same for all.
    label = row.name if len(row.name) <= name else "…" + row.name[1 - name :]
    cells = {"dead": (row.dead, row.sick[0]), "stuck": (row.saturated, row.sick[1])}
    return Content.assemble(
        ("▲ ", "$error") if any(row.sick) else "  ",
        f"{label:<{name}} ",
        (sparkline(row.grads, spark, log=True), "$primary"),
        *((f"{cells[word][0]:>{SHARES[word]}}", "bold $error" if cells[word][1] else "") for word in shown),
        f"{row.ratio:>7}" + f"{row.std:>7}" * spread,
    )
