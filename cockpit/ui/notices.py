"""A notice through the terminal itself, so that it reaches the desktop over any SSH connection: the bell, and the escape
sequence that the terminal shows as a notification. It imports no textual: `cockpit train` uses it too."""

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from cockpit.runs.events import Ended
from cockpit.runs.notices import Crier, Notice, one_line

GAP = 5.0
"""Seconds between two notices; what comes in between is told with the next."""
BELL = "\a"
RANK = ("ended", "critical", "paused", "warning")
"""What stands for the rest where several come together."""


def sequence(title: str, text: str, env: Mapping[str, str] = os.environ) -> str:
    """The bell and, where the terminal is one that may show it, a notification, wrapped for a multiplexer.

    iTerm2 defined OSC 9 for it and rxvt OSC 777, which most others took over (kitty, WezTerm, foot, Ghostty, VTE, Windows
    Terminal of 2026); a terminal that knows neither drops them unseen, and the bell remains. Consoles may print them.
    """
    term = env.get("TERM", "")
    bare = term.startswith(("dumb", "linux", "vt")) or not (term or "WT_SESSION" in env)
    if bare or env.get("TERM_PROGRAM") == "Apple_Terminal":
        return BELL
    title, text = (one_line(part, limit).replace(";", ",") for part, limit in ((title, 60), (text, 160)))
    said = f"\x1b]9;{title}: {text}\a" if _takes_9(env) else f"\x1b]777;notify;{title};{text}\a"
    if "TMUX" in env:  # tmux passes it on where `allow-passthrough` is on
        doubled = said.replace("\x1b", "\x1b\x1b")
        said = f"\x1bPtmux;{doubled}\x1b\\"
    elif "STY" in env:
        said = f"\x1bP{said}\x1b\\"
    return BELL + said


def _takes_9(env: Mapping[str, str]) -> bool:
    """Terminals that are known to take OSC 9 and may not take OSC 777. LC_TERMINAL comes along over SSH."""
    named = {env.get("TERM_PROGRAM", "").lower(), env.get("LC_TERMINAL", "").lower()}
    return not named.isdisjoint({"iterm.app", "iterm2", "warpterminal", "zed", "vscode"})


class Ringer:
    """Gathers what is to be told, and says when and in which words."""

    def __init__(self) -> None:
        self.muted = False
        self._waiting: list[tuple[str, Notice]] = []
        self._rung = float("-inf")

    def add(self, name: str, notices: list[Notice]) -> None:
        """Notices of a run of that name; what the user ordered is none to the one who sits here."""
        self._waiting += [(name, notice) for notice in notices if not notice.asked]

    def due(self, now: float) -> tuple[str, str] | None:
        """(title, text) where something is to be told now; `now` in seconds of any clock."""
        if self.muted:
            self._waiting = []
        if not self._waiting or now - self._rung < GAP:
            return None
        name, first = min(self._waiting, key=lambda item: RANK.index(item[1].kind))
        more = f" (and {len(self._waiting) - 1} more)" if len(self._waiting) > 1 else ""
        self._waiting, self._rung = [], now
        return f"cockpit: {name}", one_line(first.text, 160 - len(more)) + more


def ring_the_end(name: str, end: Ended, stream: TextIO | None = None) -> None:
    """Tell the terminal that a run in its foreground has ended, unless it ended by a key pressed there."""
    stream = stream or sys.stdout
    notice = Crier().hear(end)
    if notice is None or end.reason == "on request" or not stream.isatty():
        return
    coding = stream.encoding or "ascii"
    said = sequence(f"cockpit: {name}", notice.text).encode(coding, "replace").decode(coding)
    try:
        print(said, end="", flush=True, file=stream)
    except OSError:
        return  # the terminal went away
