"""How a trick is written: as a line of the list, and as a card."""

from collections.abc import Sequence

from textual.content import Content

from cockpit.cards import Card, Knob, knobs_of
from cockpit.recipe.values import Train
from cockpit.ui.model.findings import habits
from cockpit.ui.model.tricks import TrickRow
from cockpit.ui.model.words import clean, value


def label_width(rows: Sequence[TrickRow]) -> int:
    """Cells that the longest name takes, within reason."""
    return min(22, max((len(row.label) for row in rows), default=8))


def heading(family: str, width: int) -> Content:
    """The line above a family of toggles."""
    return Content.styled(f"{'─' * 2} {family} ".ljust(width, "─") if family else "", "$foreground 40%")


def line(row: TrickRow, width: int, names: int) -> Content:
    """One row: sign, name, and member and knobs, or what stands in the way."""
    sign = "▸" if not row.toggle else "■" if row.on else "□"
    tone = "$success" if row.toggle and row.on else "$foreground 60%"
    name = Content.assemble((f"{sign} ", tone), (f"{row.label:<{names}} ", "" if row.on else "$foreground 60%"))
    return (name + _rest(row, width - name.cell_length)).truncate(width, ellipsis=True)


def _rest(row: TrickRow, room: int) -> Content:
    if row.waiting:
        return Content.styled(f"next run: {row.waiting}", "$warning")
    if row.conflicts and not row.on:
        return Content.styled("conflicts: " + ", ".join(name for name, _ in row.conflicts), "italic $foreground 60%")
    parts = [Content.styled(row.chosen, "bold $primary")] if row.chosen else []
    for name, item in row.knobs:
        knob = Content.assemble((f"{name.replace('_', ' ')} ", "$foreground 60%"), (item, "" if row.on else "$foreground 60%"))
        if sum(part.cell_length + 2 for part in parts) + knob.cell_length > room:
            break
        parts.append(knob)
    return Content("  ").join(parts)


def card_lines(row: TrickRow) -> Content:
    """The selected trick in a few lines: purpose, when, beware, why it conflicts."""
    if row.card is None:
        return Content("How long and on what the training runs.")
    said = [Content.styled(clean(row.card.summary), "bold")]
    said += [Content.styled(f"cannot run with {name}: {why}", "$warning") for name, why in row.conflicts]
    said += [Content.assemble((f"with {name}  ", "$warning"), clean(word)) for name, word in row.cautions]
    for word, text in (("when", row.card.when), ("beware", row.card.beware)):
        if text:
            said.append(Content.assemble((f"{word}  ", "$foreground 60%"), clean(text)))
    if row.card.slide:
        said.append(Content.styled(f"on the slide  {clean(row.card.slide)}", "italic $foreground 50%"))
    return Content("\n").join(said)


def full_card(card: Card, row: TrickRow, drawn: str = "") -> Content:
    """Everything a card says, and its curve where it has one."""
    paragraphs = [Content.styled(clean(card.summary), "bold")]
    if card.details:
        paragraphs.append(Content(" ".join(map(clean, card.details.split("\n")))))
    if card.kind == "flag":
        paragraphs.append(Content.assemble(("How it judges  ", "bold $accent"), habits(card)))
    when = "When it happens" if card.kind == "flag" else "When to try it"
    for word, text in ((when, card.when), ("Beware", card.beware), ("Source", card.source)):
        if text:
            paragraphs.append(Content.assemble((f"{word}  ", "bold $accent"), clean(text)))
    if drawn:
        paragraphs.append(Content(drawn))
    if card.slide:
        paragraphs.append(Content.styled(f"On the slide  {clean(card.slide)}", "italic $foreground 60%"))
    for name, word in row.cautions:
        paragraphs.append(Content.assemble((f"With {name}  ", "bold $warning"), clean(word)))
    for name, why in row.conflicts:
        paragraphs.append(Content.assemble((f"Cannot run with {name}  ", "bold $warning"), clean(why)))
    if card.seams:
        paragraphs.append(Content.assemble(("Plugs in at  ", "bold $accent"), ", ".join(card.seams)))
    if card.knobs:
        paragraphs.append(Content("\n").join([Content.styled("Knobs", "bold $accent"), *(_knob(knob) for knob in card.knobs)]))
    hold = (
        "Changes take hold at once."
        if card.live or card.kind == "flag"
        else "Changes wait for the next run, except those of live knobs."
    )
    return Content("\n\n").join([*paragraphs, Content.styled(hold, "$foreground 60%")])


def _knob(knob: Knob) -> Content:
    bounds = (f"{knob.range or knob.type}, default {value(knob.default)}. ", "$foreground 60%")
    return Content.assemble(f"  {knob.name}  ", bounds, clean(knob.help), (" · live" * knob.live, "$success"))


def knobs_for(row: TrickRow) -> tuple[Knob, ...]:
    """The knobs behind a row, in the order of its values."""
    known = {knob.name: knob for knob in (row.card.knobs if row.card else knobs_of(Train))}
    return tuple(known[name] for name, _ in row.knobs)
