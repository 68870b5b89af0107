"""The flags pane: each finding with its evidence and, by number key, its remedies."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cockpit.runs.events import Remedy
from cockpit.ui.model.findings import Finding
from cockpit.ui.model.view import View
from cockpit.ui.model.words import clean
from cockpit.ui.panes.base import Pane, spread

CALM = "No flag stands. Flags rise here with their evidence and ways out."


class FlagsPane(Pane):
    """What is wrong, why it matters, and what can be done."""

    TITLE = "[u]F[/u]lags"
    HELP_TITLE = "Flags"
    BINDINGS = [
        Binding("1", "remedy(1)", "Remedy", tooltip="Show and apply the first remedy; 2 to 4 the others"),
        *(Binding(str(number), f"remedy({number})", show=False) for number in (2, 3, 4)),
    ]

    @dataclass
    class Remedied(Message):
        """The user asked for a remedy."""

        finding: Finding
        remedy: Remedy

    def compose(self) -> ComposeResult:
        """A list, or a word of calm."""
        yield Static(CALM, classes="calm")
        yield OptionList(markup=False, compact=True)

    def part(self, view: View) -> tuple[Finding, ...]:
        """The findings."""
        return view.findings

    def draw(self, part: tuple[Finding, ...]) -> None:
        """A block each; the selection stays where it was."""
        standing = sum(not found.cleared for found in part)
        self.border_title = self.TITLE + (f" · {standing}" if standing else "")
        self.query_one(".calm").display = not part
        listed = self.query_one(OptionList)
        listed.display = bool(part)
        width = max(20, self.content_size.width - 2)
        at = listed.highlighted
        listed.set_options(Option(_block(found, width)) for found in part)
        listed.highlighted = min(at or 0, len(part) - 1) if part else None
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No remedy key where nothing stands."""
        return bool(self._shown) if action == "remedy" else True

    def action_remedy(self, number: int) -> None:
        """Ask for a remedy of the selected finding."""
        at = self.query_one(OptionList).highlighted
        found: Finding | None = self._shown[at] if self._shown and at is not None else None
        if found and number <= len(found.remedies):
            self.post_message(self.Remedied(found, found.remedies[number - 1]))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter takes the first, which is the best."""
        event.stop()
        self.action_remedy(1)


def _block(found: Finding, width: int) -> Content:
    sign, word, tone = found.severity
    if found.cleared:
        head = Content.styled(f"△ {found.id}", "$foreground 60%")
        return spread(head, Content.styled(found.cleared, "$foreground 60%"), width)
    head = Content.assemble((f"{sign} ", f"${tone}"), (found.id, f"bold ${tone}"), (f" {word}", f"${tone}"))
    lines = [spread(head, Content.styled(found.epoch, "$foreground 60%"), width)]
    lines += Content(found.headline).wrap(width - 2)
    lines += Content.styled(found.why, "$foreground 60%").wrap(width - 2) if found.why else []
    said = " · ".join(f"{key} {item}" for key, item in found.evidence)
    lines += Content.styled(said, "$foreground 60%").wrap(width - 2) if said else []
    for number, remedy in enumerate(found.remedies[:4], start=1):
        first, *rest = Content(clean(remedy.label)).wrap(width - 6)
        lines += [Content.styled(f"[{number}] ", "bold $accent") + first, *(Content("    ") + line for line in rest)]
    return Content("\n").join([lines[0], *(Content("  ") + line for line in lines[1:])])
