"""Choosing another member of a choice: optimizer, schedule, activation ..."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from cockpit.cards import Card
from cockpit.ui.model.words import clean


class ChooseMember(ModalScreen[str]):
    """Returns the name of the chosen member; nothing where it was cancelled."""

    BINDINGS = [Binding("escape", "dismiss('')", "Cancel")]

    def __init__(self, family: str, members: dict[str, Card], chosen: str) -> None:
        super().__init__()
        self._family, self._members, self._chosen = family, members, chosen

    def compose(self) -> ComposeResult:
        """A list of members, each with its purpose."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(f"Choose: {self._family}")
            box.border_subtitle = "enter chooses · esc cancels"
            yield OptionList(*(self._option(card) for card in self._members.values()), markup=False, compact=True)

    def _option(self, card: Card) -> Option:
        width = max(map(len, self._members))
        sign = "●" if card.name == self._chosen else " "
        name = Content.assemble((f"{sign} ", "$success"), (f"{card.name:<{width}}  ", "bold"))
        return Option(name + Content.styled(clean(card.summary), "$foreground 60%"), id=card.name)

    def on_mount(self) -> None:
        """The cursor starts on the member that holds."""
        listed = self.query_one(OptionList)
        if self._chosen in self._members:
            listed.highlighted = list(self._members).index(self._chosen)
        listed.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click chooses."""
        event.stop()
        self.dismiss(event.option_id or "")
