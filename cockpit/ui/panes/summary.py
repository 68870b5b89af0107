"""The summary of an ended run, above its curves; before the start, what the recipe is about to do."""

from textual.content import Content
from textual.widgets import Static

from cockpit.ui.model.run import Summary
from cockpit.ui.model.view import View

LABEL = 10


class SummaryBox(Static):
    """Best score, time, flags and weights; hidden while the run lives."""

    def __init__(self) -> None:
        super().__init__(id="summary")
        self.display = False
        self._shown: Summary | None = None

    def show(self, view: View) -> None:
        """Take in a new view."""
        if view.summary == self._shown:
            return
        self._shown = view.summary
        self.display = view.summary is not None
        if view.summary is not None:
            self.draw(view.summary)

    def draw(self, part: Summary) -> None:
        """Every line, and the keys to go on with."""
        self.set_classes(f"-{part.state.tone}")
        self.border_title = f"{part.state.sign} {part.state.word}"
        rows = [*part.lines, ("next", part.keys)]
        self.update(Content("\n").join(self._row(label, text) for label, text in rows))

    def _row(self, label: str, text: str) -> Content:
        """A label, and a text that wraps beside it."""
        room = max(20, (self.content_size.width or self.app.size.width // 2) - LABEL)
        first, *rest = Content.styled(text, "$accent" if label == "next" else "").wrap(room)
        head = Content.styled(f"{label:<{LABEL}}", "$foreground 60%") + first
        return Content("\n").join([head, *(Content(" " * LABEL) + line for line in rest)])

    def on_resize(self) -> None:
        """Texts wrap anew, once the layout that asked for it is done: until then it takes no other height."""
        if self._shown:
            self.call_after_refresh(self.draw, self._shown)
