"""The tricks pane: choices and toggles of the recipe, filtered, switched and edited from here."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cockpit.ui.model.tricks import TrickRow
from cockpit.ui.model.view import View
from cockpit.ui.panes.base import Pane
from cockpit.ui.panes.trick_lines import card_lines, heading, label_width, line
from cockpit.ui.widgets.lines import Lines

NO_MATCH = "no trick matches; escape shows all"
WATCHED = "A loop of your own: its tricks are in your script. Flags, curves and layers are shown all the same."


class TricksPane(Pane):
    """What the recipe holds, and what it could."""

    TITLE = "[u]T[/u]ricks"
    HELP_TITLE = "Tricks"
    BINDINGS = [
        Binding("enter,space", "act", "Toggle or choose", key_display="space"),
        Binding("e", "knobs", "Edit knobs", tooltip="Edit the knobs of the selected trick"),
        Binding("i", "card", "Card", tooltip="What the selected trick is for, when to try it, and its source"),
        Binding("slash", "filter", "Filter", tooltip="Show only the tricks that match some words"),
        Binding("escape", "unfilter", "Show all", show=False),
    ]

    @dataclass
    class Asked(Message):
        """The user wants something of a trick."""

        row: TrickRow
        want: str
        """act, knobs or card."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._listed: list[TrickRow] = []

    def compose(self) -> ComposeResult:
        """A filter that comes when asked for, the list, and the selected card where there is room."""
        yield Input(placeholder="filter: name, family or purpose", compact=True)
        yield OptionList(markup=False, compact=True)
        yield Static(WATCHED, classes="none")
        yield Lines(classes="card")

    def on_mount(self) -> None:
        """The filter is out of the way at first."""
        self.query_one(Input).display = False

    def part(self, view: View) -> tuple[TrickRow, ...]:
        """The rows."""
        return view.tricks

    def show(self, view: View) -> None:
        """Take in a new view; a loop of the user's own has nothing to list."""
        self.query_one(OptionList).display = not view.watched
        self.query_one(".none").display = view.watched
        super().show(view)

    def draw(self, part: tuple[TrickRow, ...]) -> None:
        """List what matches the filter; the selection stays on its trick."""
        on = sum(row.toggle and row.on for row in part)
        self.border_title = f"{self.TITLE} · {on} on" if part else self.TITLE
        words = self.query_one(Input).value
        listed = self.query_one(OptionList)
        selected = self.selected
        width = max(20, self.content_size.width - 2)
        names = {kind: label_width([row for row in part if row.toggle == kind]) for kind in (False, True)}
        options: list[Option] = []
        self._listed, family = [], ""
        for row in part:
            group = row.card.family if row.toggle and row.card else ""
            if not row.matches(words):
                continue
            if group != family:
                family = group
                options.append(Option(heading(group, width), disabled=True))
            options.append(Option(line(row, width, names[row.toggle]), id=row.path))
            self._listed.append(row)
        listed.set_options(options)
        paths = [row.path for row in self._listed]
        if paths:
            listed.highlighted = listed.get_option_index(selected.path if selected and selected.path in paths else paths[0])
        self._show_card()

    @property
    def selected(self) -> TrickRow | None:
        """The row under the cursor."""
        option = self.query_one(OptionList).highlighted_option
        return next((row for row in self._listed if option and row.path == option.id), None)

    def _show_card(self) -> None:
        row = self.selected
        self.query_one(".card", Lines).update(card_lines(row) if row else NO_MATCH if self._shown else "")

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """The card follows the cursor."""
        event.stop()
        self._show_card()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click or enter acts."""
        event.stop()
        self.action_act()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        event.stop()
        self.draw(self._shown or ())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """On to what was found."""
        event.stop()
        self.take_focus()

    def take_focus(self) -> None:
        """The list is what the keys are for."""
        self.query_one(OptionList).focus()

    def _ask(self, want: str) -> None:
        if row := self.selected:
            self.post_message(self.Asked(row, want))

    def action_act(self) -> None:
        """Toggle a toggle, choose another member of a choice."""
        self._ask("act")

    def action_knobs(self) -> None:
        """Edit the knobs."""
        self._ask("knobs")

    def action_card(self) -> None:
        """Read the card."""
        self._ask("card")

    def action_filter(self) -> None:
        """Type words to narrow the list."""
        field = self.query_one(Input)
        field.display = True
        # At once: over a slow line the words may arrive in one burst with the slash.
        self.screen.set_focus(field)

    def action_unfilter(self) -> None:
        """Show every trick again."""
        field = self.query_one(Input)
        field.value, field.display = "", False
        self.take_focus()
