"""What differs between two recipes, path by path, and whether a running run can take it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cockpit.cards import card_of, knobs_of
from cockpit.families import CHOICES, Member
from cockpit.recipe.members import default
from cockpit.recipe.values import Recipe
from cockpit.recipe.write import brief, plain, settings


@dataclass(frozen=True)
class Change:
    """One edit that leads from the old recipe to the new; the values are in the grammar of `--set`."""

    path: str
    old: str
    new: str
    live: bool
    """It may be made between two steps of a running run."""


def changes(old: Recipe, new: Recipe) -> tuple[Change, ...]:
    """The edits that lead from one recipe to another, in the order of the file."""
    top = [Change(key, brief(getattr(old, key)), brief(getattr(new, key)), False) for key in ("about", "seed")]
    found = [change for change in top if change.old != change.new]
    for family in CHOICES:
        found += _values(getattr(old, family), getattr(new, family), family, live=False)
    found += _knobs(old.train, new.train, "train", live=False)
    found += _switches(old.tricks, new.tricks, "tricks")
    found += _switches(old.flags, new.flags, "flags")
    found += _knobs(old.notify, new.notify, "notify", live=True)
    return tuple(found)


def _values(old: Any, new: Any, path: str, *, live: bool) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, Member) and type(old) is type(new):
        yield from _knobs(old, new, path, live=live)
    else:
        yield Change(path, brief(plain(old)), brief(plain(new)), live)


def _knobs(old: Any, new: Any, path: str, *, live: bool) -> Iterator[Change]:
    for knob in knobs_of(type(old)):
        before, after = getattr(old, knob.name), getattr(new, knob.name)
        yield from _values(before, after, f"{path}.{knob.name}", live=live or knob.live)


def _switches(old: Mapping[str, Any], new: Mapping[str, Any], section: str) -> Iterator[Change]:
    for name in sorted({**old, **new}):
        before, after = old.get(name), new.get(name)
        live = section == "flags" or card_of(before or after).live  # flags only look on
        if before is not None and after is not None:
            yield from _knobs(before, after, f"{section}.{name}", live=live)
        else:
            yield Change(f"{section}.{name}", _state(before), _state(after), live)


def _state(trick: Any) -> str:
    """`off`, `on` where every knob is at its default, else the knobs."""
    if trick is None:
        return "off"
    return "on" if trick == default(card_of(trick)) else brief(settings(trick))
