"""Remedies that change how layers are stacked: fewer of them, norm layers between them."""

import re

from cockpit.flags._shared import normalise, setting
from cockpit.runs.events import Remedy
from cockpit.runs.history import History

KEPT = 3
"""Hidden layers of one kind that any network can be trained with."""
TIMES = re.compile(r"(fc\d+)x(\d+)")
WEIGHED = re.compile(r"(c\d+k\d+(?:same)?|fc\d+)")


def fewer_layers(history: History) -> tuple[tuple[str, str], ...]:
    """The edit that leaves KEPT of many hidden layers; none where there are not so many, or no recipe says how many."""
    widths, line = setting(history, "model.widths"), setting(history, "model.layers")
    if setting(history, "model.name") == "mlp" and isinstance(widths, list | tuple) and len(widths) > KEPT:
        return (("model.widths", str(list(widths[:KEPT]))),)
    if isinstance(line, str):
        short = TIMES.sub(lambda found: f"{found[1]}x{min(int(found[2]), KEPT)}", line)
        return (("model.layers", short),) if short != line else ()
    return ()


def normed(history: History) -> tuple[Remedy, ...]:
    """Norm layers as a remedy, written into the line of a network that is one; none where it has some."""
    line = setting(history, "model.layers")
    if not isinstance(line, str):
        return normalise(history)
    words = TIMES.sub(lambda found: " ".join([found[1]] * int(found[2])), line).split()
    if "bn" in words:
        return ()
    new = " ".join(f"{word} bn" if WEIGHED.fullmatch(word) else word for word in words)
    return (Remedy(label="normalise each layer over the batch", edits=(("model.layers", new),), since="start"),)
