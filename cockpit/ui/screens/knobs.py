"""The form for a trick's knobs: each with its range, checked by the recipe's own rules before it is taken."""

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from cockpit.cards import Knob
from cockpit.ui.model.words import clean, value

Edits = list[tuple[str, str]]


class KnobForm(ModalScreen[Edits]):
    """Returns the (path, value) edits of the knobs that changed; an empty list where it was cancelled."""

    BINDINGS = [
        Binding("escape", "dismiss([])", "Cancel"),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def __init__(
        self,
        path: str,
        knobs: Sequence[Knob],
        values: dict[str, str],
        check: Callable[[Edits], str],
        hold: Callable[[Knob], str],
    ) -> None:
        """`check` says what is wrong with some edits, or nothing; `hold` says when a change of a knob takes hold."""
        super().__init__()
        self._path, self._knobs, self._values, self._check, self._hold = path, knobs, values, check, hold

    def compose(self) -> ComposeResult:
        """A field a knob."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._path)
            box.border_subtitle = "enter takes · esc cancels"
            with VerticalScroll(can_focus=False):
                for knob in self._knobs:
                    yield from self._field(knob)
            yield Static(classes="fault")

    def _field(self, knob: Knob) -> ComposeResult:
        with Horizontal(classes="knob"):
            yield Static(Content.styled(knob.name, "bold"), classes="name")
            yield Input(self._values[knob.name], id=f"knob-{knob.name}", compact=True, select_on_focus=True)
            bounds = f"{knob.range or knob.type}  default {value(knob.default)}"
            yield Static(Content.styled(bounds, "$foreground 60%"), classes="range")
        said = clean(knob.help)
        hold = self._hold(knob)
        yield Static(Content.styled(f"{said} ({hold})" if hold else said, "$foreground 60%"), classes="help")

    def on_mount(self) -> None:
        """The first knob is the main one."""
        self.query(Input).first().focus()

    def _edits(self) -> Edits:
        fields = {knob.name: self.query_one(f"#knob-{knob.name}", Input).value.strip() for knob in self._knobs}
        return [(f"{self._path}.{name}", text) for name, text in fields.items() if text != self._values[name]]

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong while it is typed."""
        event.stop()
        self.query_one(".fault", Static).update(Content(clean(self._check(self._edits()))))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the values if they are right."""
        event.stop()
        if not self._check(self._edits()):
            self.dismiss(self._edits())
