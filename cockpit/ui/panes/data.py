"""The data pane: source, splits, classes, and the seal on the test set."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from cockpit.ui.format import count
from cockpit.ui.model.data import Data, Split
from cockpit.ui.model.view import View
from cockpit.ui.panes.base import Pane
from cockpit.ui.widgets.lines import Lines
from cockpit.ui.widgets.spark import bar


class DataPane(Pane):
    """Where the images come from, and how they are split."""

    TITLE = "D[u]a[/u]ta"

    def compose(self) -> ComposeResult:
        """A text that scrolls."""
        with VerticalScroll():
            yield Lines()

    def part(self, view: View) -> Data:
        """The data."""
        return view.data

    def draw(self, part: Data) -> None:
        """Source, a bar a split, the class counts, notes; last, where there is room, where the images wait."""
        width = max(20, self.content_size.width - 1)
        lines = [Content.styled(part.title, "bold")]
        lines += [_split(split, width) for split in part.splits]
        if part.classes:
            lines += _classes(part.classes, width)
        lines += [Content.styled(f"△ {note}" if part.splits else note, "$foreground 60%") for note in part.notes]
        lines += [Content.styled(f"images {part.home}", "$foreground 60%")] if part.home else []
        self.query_one(Lines).update(Content("\n").join(lines))


def _split(split: Split, width: int) -> Content:
    head = Content.assemble((f"{split.name:<6}", "$foreground 60%"), f"{split.count:>7} ")
    if split.note:
        return head + Content.styled(split.note, "$success" if "sealed" in split.note else "$warning")
    return head + Content.styled(bar(split.share, width - head.cell_length), "$primary")


def _classes(classes: tuple[tuple[str, int], ...], width: int) -> list[Content]:
    """One line where all classes are of a size, else the smallest and the largest."""
    counts = [number for _, number in classes]
    least, most = min(classes, key=lambda item: item[1]), max(classes, key=lambda item: item[1])
    if least[1] * 1.02 >= most[1]:
        return [Content.assemble(("class ", "$foreground 60%"), f"{count(round(sum(counts) / len(counts))):>7} each, balanced")]
    return [
        Content.assemble(
            (f"{word:<6}", "$foreground 60%"), f"{count(number):>7} ", (_part(number, most[1], width), "$primary 60%"), name
        ).truncate(width, ellipsis=True)
        for word, (name, number) in (("most", most), ("least", least))
    ]


def _part(number: int, most: int, width: int) -> str:
    return bar(number / max(1, most), max(4, (width - 22) // 2)) + " "
