"""Writes docs/tricks.md and docs/flags.md from the cards: `python docs/generate.py`. A test says when they are stale."""

from itertools import groupby
from pathlib import Path

from cockpit.cards import TAGS, Card, Knob
from cockpit.catalog import catalog

HEAD = "<!-- Generated from the cards by docs/generate.py; edit the card, not this page. -->\n"


def page(title: str, lead: str, cards: list[Card]) -> str:
    """One page: a section for each family, in the order of the catalogue."""
    parts = [HEAD, f"# {title}\n", lead + "\n"]
    for (family, kind), group in groupby(cards, key=lambda card: (card.family, card.kind)):
        if kind != "flag":
            parts.append(f"## {family} ({'take one' if kind == 'choice' else 'each on or off'})\n")
        parts += map(section, group)
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def section(card: Card) -> str:
    """One card."""
    lines = [f"### {card.name}\n", card.summary + "\n"]
    if card.details:
        lines.append(card.details + "\n")
    lines += [f"*{title}:* {text}\n" for title, text in facts(card)]
    if card.knobs:
        lines += ["| knob | default | range | |", "|---|---|---|---|", *map(row, card.knobs), ""]
    return "\n".join(lines)


def facts(card: Card) -> list[tuple[str, str]]:
    """What the card says besides its knobs."""
    live = "yes" if card.live else ""
    conflicts = "; ".join(f"{TAGS.get(other, other)}: {reason}" for other, reason in card.conflicts.items())
    cautions = "; ".join(f"{TAGS.get(other, other)}: {word}" for other, word in card.cautions.items())
    named = [("When", card.when), ("Beware", card.beware), ("Seams", ", ".join(card.seams)), ("Changes while a run runs", live)]
    named += [("Refused with", conflicts), ("Mind with", cautions), ("On the slide", card.slide), ("Source", card.source)]
    return [(title, text) for title, text in named if text]


def row(knob: Knob) -> str:
    """One line of the table of knobs."""
    default = "required" if knob.required else "null" if knob.default is None else str(knob.default)
    return f"| `{knob.name}` | {default} | {knob.range.replace('|', '/')} | {knob.help} |"


def pages() -> dict[str, str]:
    """File name -> text."""
    cards = list(catalog())
    return {
        "tricks.md": page(
            "Every trick",
            "Choices take one member each; toggles are on or off.",
            [card for card in cards if card.kind != "flag"],
        ),
        "flags.md": page(
            "Every flag",
            "A flag is a pure rule over the history of a run. All are on unless the recipe says `flags: {name: off}`.",
            [card for card in cards if card.kind == "flag"],
        ),
    }


if __name__ == "__main__":
    for name, text in pages().items():
        (Path(__file__).parent / name).write_text(text, encoding="utf-8")
