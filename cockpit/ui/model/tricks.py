"""The tricks pane: what is chosen, what is on, what could be, and what stands in the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cockpit.cards import Card, knobs_of
from cockpit.recipe.conflicts import against, minded
from cockpit.recipe.members import takes_member
from cockpit.recipe.values import Recipe, Train
from cockpit.ui.model.words import value

ORDER = ("optimizer", "schedule", "loss", "model", "data", "score")
PARTS = ("activation", "init", "norm")
"""The choices inside the model section."""


@dataclass(frozen=True)
class TrickRow:
    """One line of the pane: a choice, the training section, or a toggle."""

    path: str
    """Where it stands in the recipe: optimizer, model.activation, tricks.mixup, train."""
    label: str
    card: Card | None
    chosen: str = ""
    """The member of a choice that holds; empty for a toggle."""
    on: bool = False
    knobs: tuple[tuple[str, str], ...] = ()
    """Name and value, the main one first; the values that would hold, for a toggle that is off."""
    conflicts: tuple[tuple[str, str], ...] = ()
    """Tricks that are on and cannot run with this one, and why."""
    cautions: tuple[tuple[str, str], ...] = ()
    """Tricks that are on and what the user should know of the two together."""
    waiting: str = ""
    """What the next run will have instead."""
    live: bool = False
    """May change while the run runs."""

    @property
    def toggle(self) -> bool:
        """On or off, rather than one of several."""
        return self.path.startswith("tricks.")

    @property
    def will_be_on(self) -> bool:
        """Whether a toggle is on once every edit made so far has taken hold."""
        return self.waiting != "off" if self.on else self.waiting == "on"

    def matches(self, words: str) -> bool:
        """Whether every word of a filter is found in its name, family, member or one-line purpose."""
        card = self.card
        hay = " ".join((self.label, self.chosen, *((card.name, card.family, card.summary, *card.aliases) if card else ())))
        return all(word in hay.lower() for word in words.lower().split())


def knob_values(cls: type, holder: Any) -> tuple[tuple[str, str], ...]:
    """Each plain knob with its value; parts that are families of their own have rows of their own."""
    plain = [knob for knob in knobs_of(cls) if not takes_member(knob)]
    return tuple((knob.name, value(getattr(holder, knob.name))) for knob in plain)


def rows(now: Recipe, later: Recipe, toggles: Mapping[str, Card]) -> tuple[TrickRow, ...]:
    """Every row: choices, training, then toggles by family. `later` has the edits that wait for the next run."""
    choices = [_choice(section, getattr(now, section), getattr(later, section)) for section in ORDER]
    parts = [_choice(f"model.{part}", getattr(now.model, part), getattr(later.model, part)) for part in PARTS]
    families = list(dict.fromkeys(card.family for card in toggles.values()))
    switches = [_toggle(name, card, now, later) for name, card in sorted(toggles.items())]
    switches.sort(key=lambda row: families.index(row.card.family) if row.card else 0)
    return (*choices[:4], *parts, *choices[4:], _train(now, later), *switches)


def _choice(path: str, member: Any, later: Any) -> TrickRow:
    card: Card = member.card
    name = path.rpartition(".")[2]
    live = any(knob.live for knob in card.knobs)
    return TrickRow(path, name, card, card.name, True, knob_values(card.cls, member), waiting=_change(member, later), live=live)


def _train(now: Recipe, later: Recipe) -> TrickRow:
    knobs = knob_values(Train, now.train)
    return TrickRow("train", "train", None, knobs=knobs, on=True, waiting=_change(now.train, later.train))


def _toggle(name: str, card: Card, now: Recipe, later: Recipe) -> TrickRow:
    here, then = now.tricks.get(name), later.tricks.get(name)
    knobs = knob_values(card.cls, here) if here else tuple((knob.name, value(knob.default)) for knob in card.knobs)
    waiting = "" if here == then else "off" if then is None else "on" if here is None else _change(here, then)
    return TrickRow(
        f"tricks.{name}",
        name,
        card,
        on=here is not None,
        knobs=knobs,
        conflicts=tuple((path.rpartition(".")[2], why) for path, why in against(card, now).items()),
        cautions=tuple((path.rpartition(".")[2], word) for path, word in minded(card, now).items()),
        waiting=waiting,
        live=card.live,
    )


def _change(now: Any, later: Any) -> str:
    """What the next run will have, in a few words."""
    if now == later:
        return ""
    if hasattr(now, "card") and now.card.name != later.card.name:
        return str(later.card.name)
    before, after = knob_values(type(now), now), knob_values(type(later), later)
    return ", ".join(f"{name} {new}" for (name, old), (_, new) in zip(before, after, strict=True) if old != new)
