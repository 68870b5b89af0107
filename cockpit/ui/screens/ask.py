"""A question with a few answers, each on a key: quitting, stopping, remedies, consent, the vault."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option


@dataclass(frozen=True)
class Answer:
    """One way to answer."""

    key: str
    label: str
    value: str


CANCEL = Answer("c", "cancel", "")


class Ask(ModalScreen[str]):
    """Returns the value of the chosen answer; nothing where it was cancelled."""

    BINDINGS = [Binding("escape", "dismiss('')", "Cancel")]

    def __init__(
        self, title: str, text: str, answers: tuple[Answer, ...], *, wary: bool = False, id: str | None = None
    ) -> None:
        """`wary`: the cursor starts on the last answer, which should be the harmless one."""
        super().__init__(id=id)
        self._title, self._text, self._answers, self._wary = title, text, answers, wary
        for answer in answers:
            self._bindings.bind(answer.key, f"dismiss({answer.value!r})", answer.label)

    def compose(self) -> ComposeResult:
        """Title, words, answers."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            with VerticalScroll(can_focus=False):
                yield Static(Content(self._text))
            yield OptionList(*(self._option(answer) for answer in self._answers), markup=False, compact=True)

    @staticmethod
    def _option(answer: Answer) -> Option:
        return Option(Content.assemble((f" {answer.key} ", "bold $accent"), f" {answer.label}"))

    def on_mount(self) -> None:
        """Ready for enter."""
        listed = self.query_one(OptionList)
        listed.highlighted = len(self._answers) - 1 if self._wary else 0
        listed.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click answers."""
        event.stop()
        self.dismiss(self._answers[event.option_index].value)
