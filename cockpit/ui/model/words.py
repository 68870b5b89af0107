"""The words, signs and tones in which the screen speaks; text from files made safe to draw."""

import math
import re
import unicodedata
from typing import Any, NamedTuple

from cockpit.ui.format import si

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")


class Word(NamedTuple):
    """One state as the screen shows it: never by colour alone."""

    sign: str
    word: str
    tone: str
    """Name of a theme variable."""


STATES = {
    "ready": Word("○", "ready", "primary"),
    "new": Word("◌", "starting", "primary"),
    "starting": Word("◌", "starting", "primary"),
    "running": Word("●", "training", "success"),
    "paused": Word("‖", "paused", "warning"),
    "finished": Word("✓", "finished", "success"),
    "stopped": Word("■", "stopped", "foreground"),
    "interrupted": Word("■", "interrupted", "warning"),
    "failed": Word("✗", "failed", "error"),
    "lost": Word("?", "lost", "error"),
}
SEVERITIES = {
    "critical": Word("▲", "critical", "error"),
    "warning": Word("▲", "warning", "warning"),
    "info": Word("△", "info", "primary"),
}


def clean(text: object, limit: int = 2000) -> str:
    """One line without escape sequences, control and direction characters: safe to draw, whatever the file said."""
    bare = ESCAPES.sub("", str(text)[: limit * 2]).replace("\n", " ").replace("\t", " ")
    return "".join(char for char in bare if unicodedata.category(char) not in ("Cc", "Cf", "Cs"))[:limit]


def value(item: Any) -> str:
    """A knob's value as the recipe would say it."""
    if item is None:
        return "null"
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, float):
        return number(item)
    if isinstance(item, (tuple, list)):
        return "[" + ", ".join(map(value, item)) + "]"
    card = getattr(item, "card", None)
    return card.name if card else clean(item)


def number(item: float) -> str:
    """A float a recipe reads back as a float of the same value."""
    short = f"{item:.6g}"
    return short if float(short) == item or not math.isfinite(item) else repr(item)


def fixed(item: float, digits: int) -> str:
    """A measurement, or a dash where nothing was measured."""
    return f"{item:.{digits}f}" if math.isfinite(item) else "-"


def evidence(item: float | str) -> str:
    """A number of a finding with the digits that matter."""
    if isinstance(item, str):
        return clean(item)
    return si(item) if 1000 <= abs(item) < 1e15 else f"{item:.3g}"
