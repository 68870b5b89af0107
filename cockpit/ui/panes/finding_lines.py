"""How a finding is written: as a block of the flags pane, and in full beside its flag's card."""

from textual.content import Content

from cockpit.cards import Card
from cockpit.ui.model.findings import Finding, orders
from cockpit.ui.model.tricks import TrickRow
from cockpit.ui.model.words import clean
from cockpit.ui.panes.base import spread
from cockpit.ui.panes.trick_lines import full_card

DIM = "$foreground 60%"
KEYED = 4
"""Remedies that have a key."""


def block(found: Finding, width: int, *, brief: bool = False) -> Content:
    """A finding in a few lines; one that does not count is dim and short. `brief`: what it is, and the ways out."""
    if not found.counts:
        name = Content.styled(f"{'△' if found.headline else '✓'} {found.id}", DIM)
        said = Content.styled(found.cleared or found.aside, DIM)
        fits = name.cell_length + 1 + said.cell_length <= width
        lines = [spread(name, said, width)] if fits else [name, *_indented(said, width)]
        lines += _indented(Content.styled(found.headline, DIM), width) if found.aside else []
        return Content("\n").join([*lines, *_done(found, width)])
    sign, word, tone = found.severity
    head = Content.assemble((f"{sign} ", f"${tone}"), (found.id, f"bold ${tone}"), (f" {word}", f"${tone}"))
    lines = [spread(head, Content.styled(found.epoch, DIM), width)]
    lines += _indented(Content(found.headline), width)
    lines += _indented(Content.styled(found.why, DIM), width) if found.why and not brief else []
    numbers = "" if brief else " · ".join(f"{key} {item}" for key, item in found.evidence)
    lines += _indented(Content.styled(numbers, DIM), width) if numbers else []
    listed = zip(found.remedies[:KEYED], found.ways, found.applied, strict=False)
    for number, (remedy, way, applied) in enumerate(listed, start=1):
        *label, end = _indented(Content(clean(remedy.label)), width, Content.styled(f"[{number}] ", "bold $accent"))
        how = Content.styled(applied or way.word, f"italic {DIM}")
        fits = end.cell_length + 1 + how.cell_length <= width
        lines += [*label, spread(end, how, width)] if fits else [*label, end, spread(Content(""), how, width)]
    if found.pauses:
        lines += _indented(Content.styled("the run pauses when this rises again", DIM), width, Content.styled("‖ ", "$warning"))
    return Content("\n").join([*lines, *_done(found, width)])


def _done(found: Finding, width: int) -> list[Content]:
    return [line for told in found.done for line in _indented(Content(told), width, Content.styled("✓ ", "$success"))]


def _indented(text: Content, width: int, head: Content | None = None) -> list[Content]:
    """A text that wraps two cells in, behind what stands before its first line."""
    head = head or Content("")
    first, *rest = text.wrap(max(8, width - 2 - head.cell_length))
    pad = " " * (2 + head.cell_length)
    return [Content("  ") + head + first, *(Content(pad) + line for line in rest)]


def full_finding(found: Finding, card: Card | None) -> Content:
    """Everything there is to know: the finding with its evidence and its ways out, then the flag's card."""
    sign, word, tone = found.severity
    since = " · ".join(
        part for part in (word, f"since {found.epoch}" if found.epoch else "", found.cleared or found.aside) if part
    )
    parts = [Content.assemble((f"{sign} {found.headline or found.id}", f"bold ${tone}"), "\n", (since, DIM))]
    parts += [Content(found.why)] if found.why else []
    if found.evidence:
        pad = max(len(key) for key, _ in found.evidence)
        rows = [Content.assemble((f"  {key:<{pad}}  ", DIM), item) for key, item in found.evidence]
        parts.append(Content("\n").join([Content.styled("Evidence", "bold $accent"), *rows]))
    if found.remedies:
        parts.append(Content("\n").join([Content.styled("Ways out, the likeliest cure first", "bold $accent"), *_ways(found)]))
    parts += [Content(told) for told in found.done]
    if card:
        about = Content.styled(f"── The flag {card.name} ", "bold $primary")
        parts.append(about + Content("\n\n") + full_card(card, TrickRow(f"flags.{card.name}", card.name, card)))
    return Content("\n\n").join(parts)


def _ways(found: Finding) -> list[Content]:
    lines = []
    for number, (remedy, way, applied) in enumerate(zip(found.remedies, found.ways, found.applied, strict=True), start=1):
        key = f"{number}" if number <= KEYED else " "
        lines.append(Content.assemble((f"  {key} ", "bold $accent"), clean(remedy.label)))
        lines += [Content.styled(f"    {applied}", "$success")] if applied else []
        lines += [Content.styled(f"    {order}", DIM) for order in orders(remedy, way)]
        lines.append(Content.styled(f"    {way.sentence(found.refuge)}", f"italic {DIM}"))
    return lines
