"""Keys as the help screen and the command palette list them: read from the bindings, which are their only source."""

from collections.abc import Iterator
from typing import Any

from textual.binding import Binding
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen


def shown_keys(node: type[DOMNode] | DOMNode) -> list[tuple[str, Binding]]:
    """(keys, binding) of each binding a class declares, keys that do the same joined."""
    cls = node if isinstance(node, type) else type(node)
    found = []
    for item in vars(cls).get("BINDINGS", ()):
        binding = item if isinstance(item, Binding) else Binding(*item)
        found.append((binding.key_display or _named(binding.key), binding))
    return found


def _named(keys: str) -> str:
    names = {"question_mark": "?", "slash": "/", "escape": "esc", "left_square_bracket": "[", "right_square_bracket": "]"}
    names |= {"plus": "+", "minus": "-", "equals_sign": "=", "full_stop": "."}
    return " ".join(names.get(key, key) for key in keys.split(","))


def holders(screen: Screen[Any]) -> list[DOMNode]:
    """The application, the screen, and its widgets with keys of their own, one of each kind."""
    kinds: dict[type, DOMNode] = {}
    for node in (screen, *screen.query("*")):
        if type(node).__module__.startswith("cockpit."):
            kinds.setdefault(type(node), node)
    return [*kinds.values(), screen.app]


def help_text(screen: Screen[Any]) -> Content:
    """Every key that works on a screen, by the part it works in."""
    blocks = []
    for node in holders(screen):
        listed = [(keys, binding) for keys, binding in shown_keys(node) if binding.description]
        if listed:
            title = getattr(node, "HELP_TITLE", "") or type(node).__doc__ or ""
            rows = [_row(keys, binding) for keys, binding in listed]
            blocks.append(Content("\n").join([Content.styled(title.split("\n")[0], "bold"), *rows]))
    return Content("\n\n").join(blocks)


def _row(keys: str, binding: Binding) -> Content:
    return Content.assemble((f"  {keys:<14}", "bold $accent"), binding.tooltip or binding.description)


def commands(screen: Screen[Any]) -> Iterator[tuple[str, str, DOMNode, str]]:
    """(title, help, where, action) of every action of a screen and its parts, for the palette."""
    for node in holders(screen):
        for keys, binding in shown_keys(node):
            if binding.description:
                yield binding.description, f"{binding.tooltip or binding.description}  [{keys}]", node, binding.action
