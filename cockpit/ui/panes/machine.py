"""The machine under the run: processor, memory, and a GPU where there is one."""

from textual.app import ComposeResult
from textual.content import Content

from cockpit.ui.model.view import View
from cockpit.ui.panes.base import Pane
from cockpit.ui.widgets.lines import Lines


class MachinePane(Pane):
    """One or two lines of load."""

    TITLE = "[u]M[/u]achine"

    def compose(self) -> ComposeResult:
        """A text."""
        yield Lines()

    def part(self, view: View) -> tuple[str, ...]:
        """The lines."""
        return view.machine or ("not measured yet",)

    def draw(self, part: tuple[str, ...]) -> None:
        """One line each."""
        self.query_one(Lines).update(Content("\n".join(part)))
