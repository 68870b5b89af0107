"""What every pane shares: it draws its part of the view, and only when that part changed."""

from typing import Any, ClassVar

from textual.containers import Vertical
from textual.content import Content

from cockpit.ui.model.view import View


class Pane(Vertical):
    """A titled part of the cockpit screen."""

    TITLE: ClassVar[str] = ""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.border_title = self.TITLE
        self._shown: Any = None

    def show(self, view: View) -> None:
        """Take in a new view; draws only where this pane's part of it changed."""
        part = self.part(view)
        if part != self._shown:
            self._shown = part
            self.draw(part)

    def part(self, view: View) -> Any:
        """What of the view this pane draws."""
        raise NotImplementedError

    def draw(self, part: Any) -> None:
        """Draw it."""
        raise NotImplementedError

    def on_resize(self) -> None:
        """Columns are laid out for the width."""
        if self._shown is not None:
            self.draw(self._shown)

    def take_focus(self) -> None:
        """Focus what the pane is used with."""
        target = next((child for child in self.query("*") if child.focusable), None)
        if target:
            target.focus()


def spread(left: Content, right: Content, width: int) -> Content:
    """Two texts at the two ends of a line; the left one gives way where they do not fit."""
    room = width - right.cell_length
    if room < 1:
        return left.truncate(width, ellipsis=True)
    if left.cell_length >= room:
        left = left.truncate(room - 1, ellipsis=True)
    return left.pad_right(room - left.cell_length) + right
