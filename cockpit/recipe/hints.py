"""The nearest right thing: spellings, and the places where a name would be legal."""

import difflib
from collections.abc import Collection, Iterator

from cockpit import catalog
from cockpit.cards import Card, knobs_of
from cockpit.families import CHOICES, Model
from cockpit.recipe.values import Train

SYNONYMS = {
    "learning_rate": "lr",
    "wd": "weight_decay",
    "bs": "batch_size",
    "dataset": "data",
    "scheduler": "schedule",
    "lr_scheduler": "schedule",
    "criterion": "loss",
    "network": "model",
    "net": "model",
    "training": "train",
}
"""Words of other tools that no spelling distance would find."""


def near(word: str, names: Collection[str]) -> str:
    """`did you mean ...?` with the one or two nearest names, or nothing."""
    known = SYNONYMS.get(word.lower(), "")
    close = [known] if known in names else difflib.get_close_matches(word[:60].lower(), names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""


def key_hint(key: str, legal: Collection[str], card: Card | None = None, trail: str = "") -> str:
    """What to write instead of a key that is not legal here. `card` is the trick whose knobs the legal names are."""
    siblings = _siblings(key, card) if card else []
    if card and siblings:
        return f"it is a knob of {_some(siblings)}, not of {card.name}"
    homes = list(_homes(key, inside=trail))
    if homes:
        return f"it belongs at {' or '.join(homes[:3])}"
    return near(key, legal) or _list(legal, card)


def name_hint(name: str, family: str, members: Collection[str]) -> str:
    """What to write instead of a name that is no member of a family."""
    others = [home for home in _named(name) if not home.startswith(f"{family}:")]
    if name.lower() in ("off", "no", "false", "null", "~") and "none" in members:
        return "did you mean 'none'?"
    listed = "known: " + ", ".join(members) if len(members) <= 12 else f"`cockpit tricks` lists every {family}"
    return near(name, members) or (f"it belongs at {' or '.join(others[:3])}" if others else listed)


def _list(legal: Collection[str], card: Card | None) -> str:
    if card and not legal:
        return f"{card.name} has no knobs"
    return "legal here: " + ", ".join(legal) if len(legal) <= 16 else "`cockpit tricks` and `cockpit flags` list the names"


def _some(names: list[str]) -> str:
    return " and ".join(names) if len(names) <= 3 else ", ".join(names[:3]) + " and others"


def _siblings(key: str, card: Card) -> list[str]:
    if card.kind != "choice":
        return []
    return [other.name for other in catalog.family(card.family).values() if any(knob.name == key for knob in other.knobs)]


def _homes(key: str, inside: str) -> Iterator[str]:
    """The paths at which a key would be legal; knobs of toggles and flags only for a key at the top."""
    if inside and key in (*CHOICES, "train", "tricks", "flags", "about", "seed"):
        yield f"the top, as {key}"
    if any(knob.name == key for knob in knobs_of(Train)):
        yield f"train.{key}"
    for family in CHOICES:
        owners = [card for card in catalog.family(family).values() if any(knob.name == key for knob in card.knobs)]
        if owners:
            yield f"{family}.{key}"
    yield from _named(key)
    if not inside:
        for section, cards in (("tricks", catalog.toggles()), ("flags", catalog.flags())):
            yield from (f"{section}.{card.name}.{key}" for card in cards.values() if key in {knob.name for knob in card.knobs})


def _named(name: str) -> Iterator[str]:
    """Where the cards of that name are written."""
    for card in catalog.find(name):
        if card.kind != "choice":
            yield f"{card.kind.replace('toggle', 'trick')}s.{card.name}"
        elif card.family in CHOICES:
            yield f"{card.family}: {card.name}"
        else:
            yield from (f"model.{knob.name}: {card.name}" for knob in knobs_of(Model) if knob.type == card.family)
