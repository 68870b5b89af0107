"""What a view of a run on another machine says besides."""

from dataclasses import replace

from cockpit.runs.link import Link
from cockpit.ui.model.view import View
from cockpit.ui.model.words import Word, clean


def linked(view: View, link: Link, now: float) -> View:
    """The view with the machine's name in it; where the connection is broken, the state is the last known and says so."""
    header, words = view.header, clean(link.words(now))
    device = " @ ".join(part for part in (header.device, clean(link.host)) if part)
    header = replace(header, device=device, reason=" · ".join(part for part in (words, header.reason) if part))
    if link.stale(now) and view.live:
        sign, word, _ = header.state
        header = replace(header, state=Word(sign, f"{word} when last seen", "warning"), speed="", eta="")
    summary = view.summary
    if summary:
        lines = (
            (label, f"{clean(link.host)}:{clean(link.folder)}" if label == "folder" else text) for label, text in summary.lines
        )
        summary = replace(summary, lines=tuple(lines), keys="d back")  # all else is done where the run is
    return replace(view, header=header, summary=summary)
