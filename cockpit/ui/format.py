"""Numbers as people read them, and what a terminal can show."""

import math
import os
import sys


def plain_terminal() -> bool:
    """Whether only ASCII can be trusted to appear: no UTF-8, or a terminal whose font lacks the rest."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "ascii"
    utf8 = encoding.lower().replace("-", "").replace("_", "") in ("utf8", "cp65001")
    return not utf8 or os.environ.get("TERM") in ("dumb", "linux")


def count(number: int) -> str:
    """54000 -> `54,000`."""
    return f"{number:,}"


def si(number: float) -> str:
    """Three digits and a prefix: 1204 -> `1.2k`, 12 -> `12`, 0.5 -> `0.5`, 3.2e7 -> `32M`; not finite -> `-`."""
    if not math.isfinite(number):
        return "-"
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.1f}{prefix}" if abs(scaled) < 9.95 else f"{scaled:.0f}{prefix}"
    return f"{number:.3g}"


def epochs(number: float) -> str:
    """3.127 -> `3.1`, 20.0 -> `20`, 2421.5 -> `2,421.5`."""
    return f"{number:,.1f}".removesuffix(".0")


def duration(seconds: float) -> str:
    """200 -> `03:20`, 3725 -> `1:02:05`, 90061 -> `1d 01:01`; unknown -> `--:--`."""
    if not math.isfinite(seconds) or seconds < 0:
        return "--:--"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02}:{minute:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def percent(share: float, digits: int = 0) -> str:
    """0.38 -> `38 %`; unknown -> `-`."""
    return f"{share * 100:.{digits}f} %" if math.isfinite(share) else "-"
