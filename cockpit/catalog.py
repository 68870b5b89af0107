"""Finds every card by walking `cockpit.tricks` and `cockpit.flags`; adding a file there is all it takes to be found.

Importing the whole catalogue imports neither torch nor textual: a trick imports torch inside the functions that use it.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from cockpit.cards import FAMILIES, Card

PACKAGES = ("cockpit.tricks", "cockpit.flags")


class CatalogError(Exception):
    """Two cards claim one name."""


@cache
def catalog() -> tuple[Card, ...]:
    """Every card: families in the order of the lecture, choices before toggles, then as found; flags last."""
    cards: dict[tuple[str, str], Card] = {}
    for package in PACKAGES:
        for module in _modules(importlib.import_module(package)):
            for card in _cards_in(module):
                key = (_space(card), card.name)
                if key in cards and cards[key].cls is not card.cls:
                    raise CatalogError(f"{card.cls} and {cards[key].cls} are both named {card.name!r}")
                cards[key] = card
    return tuple(sorted(cards.values(), key=_order))


def _order(card: Card) -> tuple[int, str, str]:
    known = FAMILIES.index(card.family) if card.family in FAMILIES else len(FAMILIES)
    return known, "" if card.family in FAMILIES else card.family, card.kind


def _space(card: Card) -> str:
    """Names are unique among the toggles, among the flags, and inside each choice."""
    return card.family if card.kind == "choice" else card.kind


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [info.name for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    return [importlib.import_module(name) for name in names]


def _cards_in(module: ModuleType) -> list[Card]:
    own = [item for item in vars(module).values() if getattr(item, "__module__", None) == module.__name__]
    return [vars(item)["card"] for item in own if isinstance(item, type) and isinstance(vars(item).get("card"), Card)]


def family(name: str) -> dict[str, Card]:
    """The members of one choice, by name."""
    return {card.name: card for card in catalog() if card.kind == "choice" and card.family == name}


def toggles() -> dict[str, Card]:
    """Every toggle, by name."""
    return {card.name: card for card in catalog() if card.kind == "toggle"}


def flags() -> dict[str, Card]:
    """Every flag, by name."""
    return {card.name: card for card in catalog() if card.kind == "flag"}


def find(name: str) -> list[Card]:
    """The cards of that name or alias; `family.name` narrows the search."""
    scope, _, last = name.rpartition(".")
    return [
        card
        for card in catalog()
        if last in (card.name, *card.aliases) and (not scope or scope in (card.family, card.kind + "s"))
    ]
