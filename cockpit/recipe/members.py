"""A mapping of knobs to an instance of a card, and a section to a member of its family."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cockpit import catalog
from cockpit.cards import Card, Knob
from cockpit.families import discriminator
from cockpit.recipe.faults import Fault, Place, fault
from cockpit.recipe.hints import key_hint, name_hint
from cockpit.recipe.nodes import Broken, Entry, List, Map, Node, Scalar, describe
from cockpit.recipe.scalars import SCALARS, UnfitError, decode_scalar, wanted


@dataclass(frozen=True)
class Active:
    """A card that a recipe uses, and where the recipe says so; no place where it is a default."""

    card: Card
    path: str
    place: Place | None = None
    traits: tuple[str, ...] = ()
    """Tags that hold with its knobs, beside those of the card."""

    @property
    def called(self) -> set[str]:
        """What the conflicts of others may call it."""
        return {self.card.name, self.card.family, *self.card.tags, *self.traits}


@dataclass
class Decoding:
    """What a decoding has found so far."""

    faults: list[Fault] = field(default_factory=list)
    active: list[Active] = field(default_factory=list)

    def blame(self, place: Place, trail: str, message: str, hint: str = "") -> None:
        """Note a fault and go on."""
        self.faults.append(fault(place, trail, message, hint))


def default(card: Card) -> Any:
    """The instance of a card with every knob at its default; None where a knob has none."""
    return fill(Decoding(), card.cls, card.knobs, {}, card.name, Place(""), card)


def fill(
    work: Decoding,
    cls: type,
    knobs: tuple[Knob, ...],
    entries: Mapping[str, Entry],
    trail: str,
    place: Place,
    card: Card | None = None,
) -> Any:
    """An instance of `cls` from the knobs given, the others at their defaults; None where there was a fault."""
    before = len(work.faults)
    legal = [knob.name for knob in knobs]
    for key, entry in entries.items():
        if key not in legal:
            names = [discriminator(card.family), *legal] if card and card.kind == "choice" else legal
            work.blame(entry.place, trail, f"unknown key {key[:40]!r}", key_hint(key, names, card, trail))
    values: dict[str, Any] = {}
    for knob in knobs:
        path = f"{trail}.{knob.name}"
        if knob.name in entries:
            values[knob.name] = value(work, entries[knob.name].value, knob, path)
        elif knob.required:
            work.blame(place, trail, f"the knob {knob.name!r} is missing, expected {wanted(knob)}", knob.help)
        elif takes_member(knob) and knob.default is not None:
            values[knob.name] = member(work, None, knob.type, knob.default, path, place)
    if len(work.faults) > before or any(isinstance(entry.value, Broken) for entry in entries.values()):
        return None
    try:
        return cls(**values)
    except ValueError as error:
        work.blame(place, trail, str(error))
        return None


def takes_member(knob: Knob) -> bool:
    """Whether the knob's value is a member of a family."""
    return knob.type not in SCALARS and not knob.type.startswith("list[")


def value(work: Decoding, node: Node, knob: Knob, trail: str) -> Any:
    """The value of a knob; None where there was a fault."""
    null = isinstance(node, Scalar) and node.null
    if knob.type.startswith("list[") and isinstance(node, List):
        item = replace(knob, type=knob.type[5:-1], optional=False)
        return tuple(value(work, each, item, f"{trail}[{index}]") for index, each in enumerate(node.items))
    if takes_member(knob) and not null and not isinstance(node, List):
        return member(work, node, knob.type, knob.default, trail, node.place)
    if isinstance(node, Broken):
        return None
    if isinstance(node, Scalar) and knob.type in SCALARS:
        try:
            return decode_scalar(node, knob)
        except UnfitError as unfit:
            work.blame(node.place, trail, unfit.message, unfit.hint)
    elif not (null and knob.optional):
        hint = "did you mean 'none'?" if null and "none" in _members(knob.type) else _shape(node, knob)
        work.blame(node.place, trail, f"expected {wanted(knob)}, got {describe(node)}", hint)
    return None


def _shape(node: Node, knob: Knob) -> str:
    if knob.type.startswith("list[") and isinstance(node, Scalar) and not node.null:
        return f"did you mean [{node.text[:40]}]?"
    return ""


def _members(family: str) -> dict[str, Card]:
    """The members of a family by name and alias."""
    cards = catalog.family(family)
    return {**{alias: card for card in cards.values() for alias in card.aliases}, **cards}


def member(work: Decoding, node: Node | None, family: str, default: str | None, trail: str, place: Place) -> Any:
    """The member of a family that a node names, `adam` or `{name: adam, lr: 0.1}`; the default where it is silent."""
    key = discriminator(family)
    if isinstance(node, List):
        work.blame(node.place, trail, f"expected the name of the {noun(family)} or a mapping with its knobs, got a list")
    if isinstance(node, (Broken, List)):
        return None
    entries = dict(node.entries) if isinstance(node, Map) else {}
    said = node if isinstance(node, Scalar) else entries.pop(key).value if key in entries else None
    if isinstance(said, Broken):
        return None
    if said is not None and (not isinstance(said, Scalar) or said.null):
        work.blame(said.place, f"{trail}.{key}", f"expected the name of the {noun(family)}, got {describe(said)}")
        return None
    name = said.text if said else default
    if said and ":" in said.text:
        name = _passed_through(said, family, entries)
    card = _pick(work, name, family, trail, said.place if said else place)
    if card is None:
        return None
    built = fill(work, card.cls, card.knobs, _misnamed(work, entries, key, card, trail), trail, place, card)
    traits = built.traits if built else ()
    work.active.append(Active(card, trail, said.place if said else None, traits))
    return built


def _passed_through(said: Scalar, family: str, entries: dict[str, Entry]) -> str:
    """`timm:lion` is short for `{name: timm, which: lion}` where a member hands names on to a library."""
    name, _, which = said.text.partition(":")
    card = _members(family).get(name)
    if card is None or "which" not in {knob.name for knob in card.knobs}:
        return said.text
    entries["which"] = Entry("which", said.place, replace(said, text=which))
    return name


def noun(family: str) -> str:
    """What one member of a family is called."""
    return "data source" if family == "data" else family


def _pick(work: Decoding, name: str | None, family: str, trail: str, place: Place) -> Card | None:
    members = _members(family)
    if name is None:
        work.blame(place, trail, f"the name of the {noun(family)} is missing", name_hint("", family, members))
        return None
    if name not in members:
        work.blame(place, trail, f"unknown {noun(family)} {name[:40]!r}", name_hint(name, family, catalog.family(family)))
    return members.get(name)


def _misnamed(work: Decoding, entries: dict[str, Entry], key: str, card: Card, trail: str) -> dict[str, Entry]:
    """Blame `name` where the section says `source`, and the other way round, and leave it out."""
    other = {"name": "source", "source": "name"}[key]
    if other in entries and other not in {knob.name for knob in card.knobs}:
        work.blame(entries.pop(other).place, trail, f"unknown key {other!r}", f"here it is called {key!r}")
    return entries
