"""The catalogue in words: presets, tricks, flags, explain."""

import difflib
import textwrap
from itertools import groupby
from typing import Annotated, Any

import typer

from cockpit.cards import TAGS, Card, Knob
from cockpit.cli.base import BadInputError, JsonOpt, app, say, show_json


@app.command()
def presets(json: JsonOpt = False) -> None:
    """List the recipes that ship with the cockpit."""
    from cockpit.recipe import presets as shipped

    found = shipped()
    if json:
        show_json([{"name": preset.name, "about": preset.about, "path": str(preset.path)} for preset in found])
        return
    _table([(preset.name, preset.about) for preset in found])


@app.command()
def tricks(json: JsonOpt = False) -> None:
    """List every choice and toggle of the catalogue."""
    from cockpit.catalog import catalog

    cards = [card for card in catalog() if card.kind != "flag"]
    if json:
        show_json([describe(card) for card in cards])
        return
    for (family, kind), group in groupby(cards, key=lambda card: (card.family, card.kind)):
        say(f"{family} ({'take one' if kind == 'choice' else 'on or off'})")
        _table([(card.name, card.summary) for card in group], indent="  ")


@app.command()
def flags(json: JsonOpt = False) -> None:
    """List the illnesses that the cockpit looks for."""
    from cockpit import catalog

    cards = list(catalog.flags().values())
    if json:
        show_json([describe(card) for card in cards])
        return
    _table([(card.name, card.summary) for card in cards])


@app.command()
def explain(name: Annotated[str, typer.Argument(metavar="NAME", help="A trick or flag: mixup, adam, overfitting ...")]) -> None:
    """Print the card of a trick or a flag."""
    from cockpit.catalog import catalog, find

    found = find(name)
    if not found:
        near = difflib.get_close_matches(name, [card.name for card in catalog()], n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `cockpit tricks` and `cockpit flags` list them"
        raise BadInputError(f"there is no trick or flag called {name[:200]!r}{hint}")
    for number, card in enumerate(found):
        for line in [""] * bool(number) + card_text(card).splitlines():
            say(line)


def describe(card: Card) -> dict[str, Any]:
    """A card as plain data."""
    return {
        "name": card.name,
        "family": card.family,
        "kind": card.kind,
        "summary": card.summary,
        "knobs": [
            {"name": k.name, "type": k.type, "default": k.default, "low": k.low if k.above is None else k.above}
            | {"high": k.high if k.below is None else k.below, "choices": list(k.choices), "help": k.help}
            for k in card.knobs
        ],
        "seams": list(card.seams),
        "live": card.live,
        "conflicts": list(card.conflicts),
        "source": card.source,
    }


def card_text(card: Card, width: int = 100) -> str:
    """A card as a page for the terminal."""
    kind = {"choice": f"a choice of {card.family}", "toggle": f"a toggle, {card.family}", "flag": "a flag"}[card.kind]
    seams = f" · at {', '.join(card.seams)}" if card.seams else ""
    live = " · can change while a run runs" if card.live or card.kind == "flag" else ""
    lines = [f"{card.name} · {kind}{seams}{live}", "", *_wrap(card.summary, width)]
    if card.details:
        lines += ["", *card.details.splitlines()]
    if card.kind == "flag":
        from cockpit.ui.model.findings import habits

        lines += ["", *_wrap(f"How it judges: {habits(card)}", width)]
    for title, text in (("When", card.when), ("Beware", card.beware), ("On the slide", card.slide), ("Source", card.source)):
        if text:
            lines += ["", *_wrap(f"{title}: {text}", width)]
    if card.conflicts:
        lines += ["", *(f"Refused with {TAGS.get(other, other)}: {reason}" for other, reason in card.conflicts.items())]
    if card.cautions:
        lines += ["", *(f"Mind with {TAGS.get(other, other)}: {word}" for other, word in card.cautions.items())]
    if card.knobs:
        lines += ["", "Knobs"]
        for knob in card.knobs:
            lines += _wrap(f"  {_knob_text(knob)}  {knob.help}", width, hang="      ")
    return "\n".join(lines)


def _knob_text(knob: Knob) -> str:
    default = "required" if knob.required else f"= {knob.default if knob.default is not None else 'null'}"
    return " ".join(part for part in (knob.name, knob.type if not knob.choices else "", default, knob.range) if part)


def _wrap(text: str, width: int, hang: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=hang, break_long_words=False)


def _table(rows: list[tuple[str, str]], indent: str = "") -> None:
    pad = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        say(f"{indent}{name:<{pad}}  {text}")
