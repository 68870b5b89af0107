"""Keys as the help screen and the command palette list them: read from the bindings, which are their only source."""

from collections.abc import Iterator
from typing import Any

from textual.actions import parse
from textual.binding import Binding
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen

NAMES = {"question_mark": "?", "slash": "/", "escape": "esc", "plus": "+", "minus": "-"}


def holders(screen: Screen[Any]) -> dict[type, DOMNode]:
    """Each class of ours with keys of its own -> a node of it: the screen, its parts, the application."""
    found: dict[type, DOMNode] = {}
    for node in (screen, *screen.query("*"), screen.app):
        for cls in type(node).__mro__:
            if cls.__module__.startswith("cockpit.") and "BINDINGS" in vars(cls):
                found.setdefault(cls, node)
    return found


def bindings(cls: type) -> list[tuple[str, Binding]]:
    """(keys as written, binding) of the bindings a class declares, those without a description left out."""
    declared = [item for item in vars(cls)["BINDINGS"] if isinstance(item, Binding) and item.description]
    return [(item.key_display or " ".join(NAMES.get(key, key) for key in item.key.split(",")), item) for item in declared]


def help_text(screen: Screen[Any]) -> Content:
    """Every key that works on a screen, by the part it works in."""
    blocks = []
    for cls in holders(screen):
        title = Content.styled(getattr(cls, "HELP_TITLE", "Here"), "bold")
        blocks.append(Content("\n").join([title, *(_row(keys, binding) for keys, binding in bindings(cls))]))
    return Content("\n\n").join(blocks)


def _row(keys: str, binding: Binding) -> Content:
    return Content.assemble((f"  {keys:<17}", "bold $accent"), binding.tooltip or binding.description)


def commands(screen: Screen[Any]) -> Iterator[tuple[str, str, DOMNode, str]]:
    """(title, help, where, action) of every action that can be taken now, for the palette."""
    for cls, node in holders(screen).items():
        for keys, binding in bindings(cls):
            _, name, parameters = parse(binding.action)
            if node.check_action(name, parameters):
                yield binding.description, f"{binding.tooltip or binding.description} (key: {keys})", node, binding.action
