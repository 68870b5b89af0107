"""Which tricks cannot run together, and why."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from cockpit.cards import Card, card_of, knobs_of
from cockpit.families import CHOICES
from cockpit.recipe.faults import Fault, Place, fault
from cockpit.recipe.members import Active, takes_member
from cockpit.recipe.values import Recipe


def reason(one: Card, other: Card) -> str:
    """Why two tricks cannot run together, as one clause; empty where they can. The order of the two does not matter."""
    for card, rival in ((one, other), (other, one)):
        for key in (rival.name, rival.family, *rival.tags):
            if key in card.conflicts:
                return card.conflicts[key]
    return ""


def against(card: Card, recipe: Recipe) -> dict[str, str]:
    """Path of each trick of a recipe that the card cannot run with -> the reason."""
    rivals = [active for active in active_cards(recipe) if active.card.cls is not card.cls]
    if card.kind == "choice":
        rivals = [active for active in rivals if (active.card.kind, active.card.family) != (card.kind, card.family)]
    return {rival.path: why for rival in rivals if (why := reason(card, rival.card))}


def active_cards(recipe: Recipe) -> list[Active]:
    """Every member and toggle that a recipe uses."""
    members = [active for family in CHOICES for active in _members(getattr(recipe, family), family)]
    return members + [Active(card_of(trick), f"tricks.{name}") for name, trick in recipe.tricks.items()]


def _members(owner: object, path: str) -> Iterator[Active]:
    yield Active(card_of(owner), path)
    for knob in knobs_of(type(owner)):
        inner = getattr(owner, knob.name)
        if takes_member(knob) and inner is not None:
            yield from _members(inner, f"{path}.{knob.name}")


def clashes(active: Sequence[Active]) -> list[Fault]:
    """A fault for each pair of active tricks that cannot run together, at the later of the two."""
    return [_clash(one, other, why) for one, other in combinations(active, 2) if (why := reason(one.card, other.card))]


def _clash(one: Active, other: Active, why: str) -> Fault:
    first, last = sorted((one, other), key=_order)
    message = f"{last.card.name} cannot run with {first.card.name} ({_where(first)}): {why}"
    switch = [active.path for active in (last, first) if active.card.kind == "toggle"]
    hint = f"switch off {' or '.join(switch)}" if switch else "choose another of the two"
    return fault(last.place or Place("the defaults"), last.path, message, hint)


def _where(active: Active) -> str:
    if active.place is None:
        return f"{active.path}, the default"
    if active.place.of_edit:
        return active.place.file
    return f"{active.path}, line {active.place.line}" if active.place.line else active.path


def _order(active: Active) -> tuple[int, int, int]:
    """Defaults first, then the file from top to bottom, then edits."""
    if active.place is None:
        return (0, 0, 0)
    return (2 if active.place.of_edit else 1, active.place.line, active.place.column)
