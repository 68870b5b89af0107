"""The node tree of a recipe to a typed recipe; all that is wrong is found in one pass and reported at once."""

from collections.abc import Iterable
from typing import Any

from cockpit import catalog
from cockpit.cards import Card, Knob, knobs_of
from cockpit.families import CHOICES
from cockpit.recipe.conflicts import clashes
from cockpit.recipe.faults import Fault, Place, RecipeError
from cockpit.recipe.hints import key_hint
from cockpit.recipe.members import Active, Decoding, fill, member, value
from cockpit.recipe.nodes import Broken, Entry, List, Map, Node, Scalar, describe
from cockpit.recipe.notify import decode_notify
from cockpit.recipe.scalars import truth
from cockpit.recipe.short import written_out
from cockpit.recipe.values import Recipe, Train

SECTIONS = ("about", "seed", *CHOICES, "train", "tricks", "flags", "notify")
"""The keys at the top of a recipe, in the order they are written."""

SEED = Knob("seed", "int", 0, "every random number of the run follows from it", low=0, high=2**32 - 1)
ABOUT = Knob("about", "str", "", "what the recipe is for, in a sentence")


def decode_recipe(root: Map, known: Iterable[Fault] = ()) -> Recipe:
    """The recipe a tree describes. Raises RecipeError with its faults and those already known."""
    work = Decoding(list(known))
    root = written_out(work, root)
    if "watched" in root.entries:
        raise RecipeError([Fault("", 0, 0, "", "this run is a loop of one's own", "only its script can train it")])
    for key, entry in root.entries.items():
        if key not in SECTIONS:
            work.blame(entry.place, "", f"unknown key {key[:40]!r}", key_hint(key, SECTIONS))
    values = {
        "about": _top(work, root, ABOUT),
        "seed": _top(work, root, SEED),
        **{family: _choice(work, root, family, silent) for family, silent in CHOICES.items()},
        "train": _train(work, root),
        "tricks": _switches(work, root, "tricks", catalog.toggles()),
        "flags": _switches(work, root, "flags", catalog.flags()),
        "notify": decode_notify(work, *_section(root, "notify")),
    }
    work.faults += clashes(work.active)
    if work.faults:
        raise RecipeError(work.faults)
    return Recipe(**values)


def _section(root: Map, name: str) -> tuple[Node | None, Place]:
    """A section's node, None where it is absent or empty, and the place to blame for it as a whole."""
    entry = root.entries.get(name)
    if entry is None or (isinstance(entry.value, Scalar) and entry.value.null):
        return None, entry.place if entry else root.place
    return entry.value, entry.place


def _top(work: Decoding, root: Map, knob: Knob) -> Any:
    node, _ = _section(root, knob.name)
    return knob.default if node is None else value(work, node, knob, knob.name)


def _choice(work: Decoding, root: Map, family: str, silent: str) -> Any:
    node, place = _section(root, family)
    return member(work, node, family, silent, family, place)


def _train(work: Decoding, root: Map) -> Any:
    node, place = _section(root, "train")
    return fill(work, Train, knobs_of(Train), _entries(work, node, "train", "epochs: 10"), "train", place)


def _entries(work: Decoding, node: Node | None, trail: str, example: str) -> dict[str, Entry]:
    if isinstance(node, Map):
        return dict(node.entries)
    if isinstance(node, (Scalar, List)):
        work.blame(node.place, trail, f"expected a mapping such as `{example}`, got {describe(node)}")
    return {}


def _switches(work: Decoding, root: Map, section: str, cards: dict[str, Card]) -> dict[str, Any]:
    """The tricks that are on, or the flags that are not off, by name."""
    node, place = _section(root, section)
    names = {**{alias: card for card in cards.values() for alias in card.aliases}, **cards}
    said: dict[str, Entry] = {}
    for key, entry in _entries(work, node, section, "mixup: on" if section == "tricks" else "overfitting: off").items():
        card = names.get(key)
        if card is None:
            hint = key_hint(key, tuple(cards), trail=section)
            work.blame(entry.place, section, f"unknown {section[:-1]} {key[:40]!r}", hint)
        elif card.name in said:
            work.blame(entry.place, section, f"{key!r} and {said[card.name].key!r} are one {section[:-1]}", "keep one")
        else:
            said[card.name] = entry
    chosen = cards if section == "flags" else sorted(said)
    built = {name: _switch(work, said.get(name), cards[name], f"{section}.{name}", place) for name in chosen}
    return {name: trick for name, trick in built.items() if trick is not None}


def _switch(work: Decoding, entry: Entry | None, card: Card, trail: str, place: Place) -> Any:
    """The instance of a toggle or a flag; None where it is off or at fault."""
    node = entry.value if entry else None
    said = True if node is None or isinstance(node, Map) or (isinstance(node, Scalar) and node.null) else _truth(node)
    if node is not None and said is None and not isinstance(node, Broken):
        work.blame(node.place, trail, f"expected on, off or a mapping of knobs, got {describe(node)}", _example(node, card))
    if not said:
        return None
    entries = node.entries if isinstance(node, Map) else {}
    built = fill(work, card.cls, card.knobs, entries, trail, entry.place if entry else place, card)
    if card.kind == "toggle":
        work.active.append(Active(card, trail, entry.place if entry else None, built.traits if built else ()))
    return built


def _truth(node: Node) -> bool | None:
    return truth(node) if isinstance(node, Scalar) else None


def _example(node: Node, card: Card) -> str:
    if isinstance(node, Scalar) and node.quoted and node.text.lower() in ("on", "off", "true", "false", "yes", "no"):
        return "drop the quotes"
    if not card.knobs:
        return ""
    own = [knob for knob in card.knobs if knob.type in ("int", "float")] if isinstance(node, Scalar) and node.number else []
    first = (own or card.knobs)[0].name
    return f"did you mean {{{first}: {node.text}}}?" if isinstance(node, Scalar) and node.number else f"write {{{first}: ...}}"
