"""`--set knob=value` for a demonstration: the grammar, the checks and the words of recipes."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from cockpit.cards import knobs_of
from cockpit.recipe.faults import Place, RecipeError
from cockpit.recipe.hints import near
from cockpit.recipe.members import Decoding, fill
from cockpit.recipe.nodes import Entry, List, Scalar, parse_value

T = TypeVar("T")


def decode(cls: type[T], sets: Sequence[str]) -> T:
    """The settings with `knob=value` applied in their order; for a list, one value will do. Raises RecipeError."""
    work = Decoding()
    knobs = knobs_of(cls)
    legal = {knob.name: knob for knob in knobs}
    entries: dict[str, Entry] = {}
    for each in sets:
        name, equals, text = (part.strip() for part in each.partition("="))
        place = Place(f"--set {name[:60]}".strip())
        if not equals or name not in legal:
            message = f"unknown knob {name[:40]!r}" if equals else f"expected knob=value, got {each[:60]!r}"
            hint = near(name, [other for other in legal if other != name]) or "legal here: " + ", ".join(legal)
            work.blame(place, name[:60], message, hint if equals or name not in legal else f"write {name}=...")
            continue
        node, faults = parse_value(text, place.file)
        work.faults += faults
        if legal[name].type.startswith("list[") and isinstance(node, Scalar) and not node.null:
            node = List(node.place, (node,))
        entries[name] = Entry(name, place, node)
    settings: T | None = fill(work, cls, knobs, entries, "", Place("--set"))
    if settings is None or work.faults:
        # The decoder leads every path with the name of its section, and here there is none.
        raise RecipeError(dataclasses.replace(fault, trail=fault.trail.removeprefix(".")) for fault in work.faults)
    return settings
