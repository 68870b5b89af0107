"""Which tricks cannot run together, and why."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from cockpit.cards import Card, card_of
from cockpit.recipe.faults import Fault, Place, fault
from cockpit.recipe.members import Active
from cockpit.recipe.plan import members
from cockpit.recipe.values import Recipe


def reason(one: Active, other: Active) -> str:
    """Why two tricks cannot run together, as one clause; empty where they can. The order of the two does not matter."""
    return _said(other, one.card.conflicts) or _said(one, other.card.conflicts)


def _said(rival: Active, words: Mapping[str, str]) -> str:
    """What a card says of a rival by its name, its family, a tag or a trait; empty where it says nothing."""
    return next((words[key] for key in sorted(rival.called & words.keys())), "")


def against(card: Card, recipe: Recipe) -> dict[str, str]:
    """Path of each trick of a recipe that the card cannot run with -> the reason."""
    return {rival.path: why for rival in _rivals(card, recipe) if (why := reason(Active(card, ""), rival))}


def minded(card: Card, recipe: Recipe) -> dict[str, str]:
    """Path of each trick of a recipe beside which the card needs a word -> the word."""
    return {rival.path: word for rival in _rivals(card, recipe) if (word := _caution(Active(card, ""), rival))}


def cautions(recipe: Recipe) -> list[str]:
    """What the user should know of tricks that run together, and what was settled between them: a sentence for each."""
    pairs = combinations(active_cards(recipe), 2)
    return [f"{_called(one)} with {_called(two)}: {word}" for one, two in pairs if (word := _caution(one, two))]


def _called(active: Active) -> str:
    """A toggle by its name, a member with its family before it: `norm batch` is no batch."""
    card = active.card
    return card.name if card.kind == "toggle" else f"{card.family} {card.name}"


def _caution(one: Active, other: Active) -> str:
    return _said(other, one.card.cautions) or _said(one, other.card.cautions)


def _rivals(card: Card, recipe: Recipe) -> list[Active]:
    """What a recipe would keep if the card came to it."""
    rivals = [active for active in active_cards(recipe) if active.card.cls is not card.cls]
    if card.kind == "choice":
        rivals = [active for active in rivals if (active.card.kind, active.card.family) != (card.kind, card.family)]
    return rivals


def active_cards(recipe: Recipe) -> list[Active]:
    """Every member and toggle that a recipe uses."""
    toggles = [Active(card_of(trick), f"tricks.{name}", None, trick.traits) for name, trick in recipe.tricks.items()]
    return [Active(card_of(member), path, None, member.traits) for path, member in members(recipe)] + toggles


def tags_of(recipe: Recipe) -> tuple[str, ...]:
    """The tags and traits of everything that a recipe uses, sorted."""
    return tuple(sorted({tag for active in active_cards(recipe) for tag in (*active.card.tags, *active.traits)}))


def clashes(active: Sequence[Active]) -> list[Fault]:
    """A fault for each pair of active tricks that cannot run together, at the later of the two."""
    return [_clash(one, other, why) for one, other in combinations(active, 2) if (why := reason(one, other))]


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
