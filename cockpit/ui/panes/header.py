"""The line at the top: which run, its state, how far, how fast, on what."""

from math import isfinite

from textual.content import Content

from cockpit.ui.format import percent
from cockpit.ui.model.run import Header
from cockpit.ui.model.view import View
from cockpit.ui.widgets.lines import Lines
from cockpit.ui.widgets.spark import progress

GAP = 3


class HeaderLine(Lines):
    """One line, and a second one with the reason where a run failed, was lost or has not begun."""

    def __init__(self) -> None:
        super().__init__(id="header")
        self._shown: Header | None = None

    def show(self, view: View) -> None:
        """Take in a new view."""
        if view.header != self._shown:
            self._shown = view.header
            self.on_resize()

    def on_resize(self) -> None:
        """The pieces that fit depend on the width."""
        if self._shown:
            self.update(header_content(self._shown, self.content_size.width or self.app.size.width - 2))


def header_content(header: Header, width: int) -> Content:
    """The header laid out for a width: pieces leave from the least needed on, and the bar takes the room that is left."""
    sign, word, tone = header.state
    who = Content.assemble((header.name, "bold"), (f" · {header.id}" if header.id else "", "$foreground 60%"))
    state = Content.styled(f"{sign} {word}", f"bold ${tone}")
    numbers = [Content(f"epoch {header.epoch}")] if header.epoch else []
    known = bool(header.epoch) and isfinite(header.share)
    share = Content(percent(header.share)) if known else Content("")
    tail = [Content.styled(text, "$foreground 60%") for text in (header.speed, header.eta, header.device) if text]
    probes = Content.styled(header.probes, "$foreground 60%")
    brand = Content.styled("cockpit", "bold $primary")
    gap = GAP if width >= 100 else 2
    pieces = [brand, who, state, *numbers, share, *tail, probes]
    for spare in (probes, brand, *reversed(tail[:1]), *reversed(tail[2:]), who, *tail[1:2]):
        if _length(pieces, gap) <= width - (8 if width >= 60 else 0):
            break
        pieces = [piece for piece in pieces if piece is not spare]
    room = width - _length(pieces, gap) - gap
    if known and room >= 6:
        pieces.insert(pieces.index(share), Content.styled(progress(header.share, min(room, 60)), "$primary"))
    line = Content(" " * gap).join([piece for piece in pieces if piece])
    if not header.reason:
        return line
    return Content("\n").join([line, Content.styled(header.reason, f"${tone}")])


def _length(pieces: list[Content], gap: int) -> int:
    shown = [piece for piece in pieces if piece]
    return sum(piece.cell_length for piece in shown) + gap * max(0, len(shown) - 1)
