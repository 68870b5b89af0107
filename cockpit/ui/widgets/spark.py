"""One-line pictures of numbers: sparklines, bars and a progress line. Pure text, with an ASCII twin of each."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cockpit.ui.format import plain_terminal

LEVELS = " ▁▂▃▄▅▆▇█"
ASCII_LEVELS = " _.-:=+*#"


def sparkline(values: Sequence[float] | NDArray[Any], width: int, *, log: bool = False, ascii: bool | None = None) -> str:
    """The last values as bars from the lowest to the highest; a value that is not finite (or, on a log scale, not
    above 0) is a space. More values than `width` are thinned to the highest of each group.
    """
    data = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        data = np.log10(data) if log else data
    data = np.where(np.isfinite(data), data, np.nan)
    if len(data) > width:
        data = np.array([np.fmax.reduce(group) for group in np.array_split(data, width)])
    known = data[~np.isnan(data)]
    if not len(known):
        return " " * width
    low, high = known.min(), known.max()
    levels = _ascii(ascii, ASCII_LEVELS, LEVELS)
    rank = 1 + np.nan_to_num((data - low) / ((high - low) or 1.0)) * (len(levels) - 2)
    text = "".join(" " if np.isnan(value) else levels[round(level)] for value, level in zip(data, rank, strict=True))
    return text.rjust(width)


def bar(share: float, width: int, *, ascii: bool | None = None) -> str:
    """A bar as long as the share of `width`, padded with spaces; a share above 0 shows at least one block."""
    share = min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    full = max(round(share * width), 1 if share > 0 else 0)
    return (_ascii(ascii, "#", "▇") * full).ljust(width)


def progress(share: float, width: int, *, ascii: bool | None = None) -> str:
    """A line `width` long whose heavy part, ended by ╸, is the share done."""
    share = min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    heavy, tip, light = list(_ascii(ascii, "=>-", "━╸─"))
    halves = int(share * width * 2)
    done = heavy * (halves // 2) + (tip if halves % 2 else "")
    return done + light * (width - len(done))


def _ascii(asked: bool | None, plain: str, rich: str) -> str:
    return plain if (plain_terminal() if asked is None else asked) else rich
