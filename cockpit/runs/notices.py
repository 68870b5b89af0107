"""What of a run is worth calling somebody back to it: told on the terminal by the screen, and elsewhere by the host."""

import unicodedata
from dataclasses import dataclass, field
from typing import Literal, get_args

from cockpit.runs import events as ev

Kind = Literal["critical", "warning", "paused", "ended"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LIMIT = 240
"""Characters of a notice."""


@dataclass(frozen=True)
class Notice:
    """One thing to tell, in one line that no terminal and no mail header can be driven by."""

    kind: Kind
    text: str
    state: str = ""
    """How the run ended, where it did."""
    asked: bool = False
    """The user ordered it, so it is no news to who sits at the screen."""

    @property
    def bad(self) -> bool:
        """The run is lost, or about to be."""
        return self.kind == "critical" or self.state in ("failed", "lost")


@dataclass
class Crier:
    """Hears every event of a run in order and says which are worth a notice. Findings that the user put aside are not."""

    _aside: dict[str, int] = field(default_factory=dict)
    _best: str = ""

    def hear(self, event: ev.Event) -> Notice | None:
        """The notice of an event, if it is worth one."""
        match event:
            case ev.Snoozed():
                self._aside[event.id] = event.until
            case ev.Evaluated(best=True):
                self._best = f"; best validation accuracy {event.val_accuracy:.2%} at epoch {event.epoch}"
            case ev.Flagged(severity="warning" | "critical") if event.step >= self._aside.get(event.id, 0):
                return _notice("critical" if event.severity == "critical" else "warning", f"{event.id}: {event.headline}")
            case ev.Noted() if event.text.startswith("paused "):
                return _notice("paused", event.text)
            case ev.Ended():
                why = f": {event.reason}" if event.reason else ""
                said = f"{event.state} at step {event.step:,}{why}{self._best}"
                return _notice("ended", said, event.state, event.state == "stopped" and event.reason == "on request")
        return None


def lost() -> Notice:
    """The run's host is gone, and nobody was there to write an event."""
    return _notice("ended", "lost: its host is gone without a word", "lost")


def one_line(text: str, limit: int = LIMIT) -> str:
    """Text without line breaks, control, direction and broken characters, cut to a length."""
    bare = "".join(" " if char in "\r\n\t" else char for char in text[: 4 * limit])
    kept = "".join(char for char in bare if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def _notice(kind: Kind, text: str, state: str = "", asked: bool = False) -> Notice:
    return Notice(kind, one_line(text), state, asked)
