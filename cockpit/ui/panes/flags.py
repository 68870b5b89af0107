"""The flags pane: each finding with its evidence, and on keys its remedies, its card, and how to put it aside."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cockpit.ui.model.findings import Finding
from cockpit.ui.model.view import View
from cockpit.ui.panes.base import Pane
from cockpit.ui.panes.finding_lines import KEYED, block

ROOMY = 12
"""Rows from which there is room for more than the ways out; the rest is a key away."""
CALM = "No flag stands. Flags rise here with their evidence and ways out."


class FlagsPane(Pane):
    """What is wrong, why it matters, and what can be done."""

    TITLE = "[u]F[/u]lags"
    HELP_TITLE = "Flags"
    BINDINGS = [
        Binding("1", "remedy(1)", "Remedy", key_display="1-4", tooltip="Show what a remedy would do, then do it"),
        *(Binding(str(number), f"remedy({number})", show=False) for number in range(2, KEYED + 1)),
        Binding("enter,i", "card", "Explain", key_display="i", tooltip="The finding in full, and what its flag looks for"),
        Binding(
            "z", "snooze", "Snooze", tooltip="I have seen it: put this finding aside for 5 epochs, or a tenth of a long run"
        ),
        Binding("x", "silence", "Silence", tooltip="Switch this flag off; again: switch it on"),
        Binding("h", "hold", "Pause next time", show=False, tooltip="Pause the run when this flag rises again; again: do not"),
    ]

    @dataclass
    class Asked(Message):
        """The user wants something of a finding."""

        finding: Finding
        want: str
        """card, snooze, silence or hold."""

    @dataclass
    class Remedied(Message):
        """The user asked for a remedy, counted from 1."""

        finding: Finding
        number: int

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._listed: tuple[Finding, ...] = ()

    def compose(self) -> ComposeResult:
        """A list, or a word of calm."""
        yield Static(CALM, classes="calm")
        yield OptionList(markup=False, compact=True)

    def part(self, view: View) -> tuple[Finding, ...]:
        """The findings."""
        return view.findings

    def draw(self, part: tuple[Finding, ...]) -> None:
        """A block each. The cursor of a user at work stays on its finding: no key means one that has just come."""
        standing = sum(found.counts for found in part)
        self.border_title = self.TITLE + (f" · {standing}" if standing else "")
        self.query_one(".calm").display = not part
        selected = self.selected
        listed = self.query_one(OptionList)
        listed.display = bool(part)
        width = max(20, self.content_size.width - 2)
        brief = self.content_size.height < ROOMY
        listed.set_options(Option(block(found, width, brief=brief)) for found in part)
        self._listed = part
        working = selected if self.has_focus_within else None
        kept = (at for at, found in enumerate(part) if working and found.id == working.id and found.counts)
        listed.highlighted = next(kept, 0) if part else None
        self.refresh_bindings()

    @property
    def selected(self) -> Finding | None:
        """The finding under the cursor."""
        at = self.query_one(OptionList).highlighted
        return self._listed[at] if at is not None and at < len(self._listed) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of findings mean something where there are any, and those that order something where one stands."""
        if action not in ("remedy", "card", "snooze", "silence", "hold"):
            return True
        return any(action == "card" or not found.cleared for found in self._listed)

    def action_remedy(self, number: int) -> None:
        """Ask for a remedy of the selected finding."""
        found = self.selected
        if found and number <= len(found.remedies):
            self.post_message(self.Remedied(found, number))

    def _ask(self, want: str) -> None:
        if found := self.selected:
            self.post_message(self.Asked(found, want))

    def action_card(self) -> None:
        """Read the finding and its flag's card."""
        self._ask("card")

    def action_snooze(self) -> None:
        """Put it aside for a while."""
        self._ask("snooze")

    def action_silence(self) -> None:
        """Switch the flag off."""
        self._ask("silence")

    def action_hold(self) -> None:
        """Let the flag pause the run when it rises again."""
        self._ask("hold")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click explains."""
        event.stop()
        self.action_card()
