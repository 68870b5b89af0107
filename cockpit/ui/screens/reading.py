"""The card of a trick, in full."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static


class Reading(ModalScreen[None]):
    """A text to read: a card, or the keys."""

    BINDINGS = [Binding("escape,q,i,enter", "dismiss", "Close", key_display="esc")]

    def __init__(self, title: str, text: Content) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """A box that scrolls."""
        with VerticalScroll(classes="dialog reading") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = "esc closes"
            yield Static(self._text)
