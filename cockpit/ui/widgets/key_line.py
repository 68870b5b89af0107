"""The line of keys at the bottom. One widget, where Textual's footer mounts one a key again at every change of focus."""

from textual.binding import Binding
from textual.content import Content
from textual.events import Mount, Resize
from textual.widgets import Static

from cockpit.ui.keys import NAMES

LAST = ("quit", "keys")
"""Actions that stay in view however narrow the screen is: the way out, and the list of all keys."""


class KeyLine(Static):
    """The keys that mean something now, as many as fit; a click presses one."""

    DEFAULT_CSS = """
    KeyLine {
        dock: bottom; height: 1; padding: 0 1; background: $surface;
        link-style: none; link-color: $foreground; link-background: $surface;
        link-style-hover: bold; link-color-hover: $foreground; link-background-hover: $primary 30%;
    }
    """

    def on_mount(self, _: Mount) -> None:
        """Follow the focus and whatever else changes the keys."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._show())
        self._show()

    def on_resize(self, _: Resize) -> None:
        """Other keys fit."""
        self._show()

    def _show(self) -> None:
        shown = {item.binding.action: item.binding for item in self.screen.active_bindings.values() if item.binding.show}
        self.update(key_line(list(shown.values()), self.app.size.width - 2), layout=False)


def key_line(bindings: list[Binding], width: int) -> Content:
    """The keys laid out for a width; those that do not fit leave from the end, save the last two."""
    keep = [_key(binding) for binding in bindings if binding.action in LAST]
    rest = [_key(binding) for binding in bindings if binding.action not in LAST]
    gap = 2 if width >= 76 else 1
    while rest and sum(key.cell_length + gap for key in (*rest, *keep)) - gap > width:
        rest.pop()
    return Content(" " * gap).join([*rest, *keep])


def _key(binding: Binding) -> Content:
    pressed = binding.key.split(",")[0]
    return Content.from_markup(
        f"[bold $accent]$key[/][@click=app.simulate_key('{pressed}')] $words[/]",
        key=binding.key_display or NAMES.get(pressed, pressed),
        words=binding.description,
    )
