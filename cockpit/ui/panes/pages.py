"""The names of the pages, shown where the screen is too small for all panes at once."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Static

PAGES = {"plots": "p", "tricks": "t", "flags": "f", "layers": "l", "data": "a", "machine": "m"}
"""Page -> the key that opens it."""


class PageName(Static):
    """One name; a click opens the page."""

    @dataclass
    class Picked(Message):
        """A page was asked for."""

        page: str

    def __init__(self, page: str) -> None:
        self.page, self._count = page, 0
        super().__init__(self._text())

    def _text(self) -> Content:
        at = self.page.index(PAGES[self.page])
        return Content(self.page + (f" {self._count}" if self._count else "")).stylize("underline", at, at + 1)

    def count(self, number: int) -> None:
        """A number behind the name: how many wait there."""
        if number != self._count:
            self._count = number
            self.update(self._text())

    def on_click(self, event: Click) -> None:
        """Open the page."""
        event.stop()
        self.post_message(self.Picked(self.page))


class Pages(Horizontal):
    """A line of names."""

    def compose(self) -> ComposeResult:
        """One name a page."""
        yield from (PageName(page) for page in PAGES)

    def mark(self, page: str, flags: int) -> None:
        """Set the open page apart, and count the flags that stand."""
        for name in self.query(PageName):
            name.set_class(name.page == page, "-open")
            if name.page == "flags":
                name.count(flags)
