"""The layers pane: a line a layer with its gradient norm over time, dead share, update ratio and weight spread."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from cockpit.ui.model.layers import LayerRow
from cockpit.ui.model.view import View
from cockpit.ui.panes.base import Pane
from cockpit.ui.widgets.spark import sparkline

NUMBERS = 20
"""Cells of the three numbers behind the sparkline; the weights' spread leaves first where room is short."""
EMPTY = "measured after the first steps"


class LayersPane(Pane):
    """What happens in each layer."""

    TITLE = "[u]L[/u]ayers"

    def compose(self) -> ComposeResult:
        """Headings that stay, rows that scroll."""
        yield Static(classes="headings")
        with VerticalScroll():
            yield Static(classes="rows")

    def part(self, view: View) -> tuple[LayerRow, ...]:
        """The rows."""
        return view.layers

    def draw(self, part: tuple[LayerRow, ...]) -> None:
        """Columns as wide as the pane allows: the sparkline takes what the names leave."""
        width = max(24, self.content_size.width - 1)
        longest = max((len(row.name) for row in part), default=5)
        spread = width >= longest + 6 + NUMBERS
        numbers = NUMBERS if spread else NUMBERS - 7
        name = max(5, min(longest, width - numbers - 6))
        spark = max(4, min(16, width - name - numbers - 2))
        head = f"{'layer':<{name}} {'grad norm' if spark >= 9 else 'grad':<{spark}}  dead update{'    std' * spread}"
        self.query_one(".headings", Static).update(Content.styled(head if part else EMPTY, "$foreground 60%"))
        rows = [_row(row, name, spark, spread) for row in part]
        self.query_one(".rows", Static).update(Content("\n").join(rows))


def _row(row: LayerRow, name: int, spark: int, spread: bool) -> Content:
    # The tail of a dotted name tells layers apart; its head is the same for all.
    label = row.name if len(row.name) <= name else "…" + row.name[1 - name :]
    return Content.assemble(
        f"{label:<{name}} ",
        (sparkline(row.grads, spark, log=True), "$primary"),
        (f"{row.dead:>6}", "bold $error" if row.sick else ""),
        f"{row.ratio:>7}" + f"{row.std:>7}" * spread,
    )
