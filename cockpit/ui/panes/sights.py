"""How thumbnails and the findings of checks are written."""

from typing import Any

import numpy as np
from textual.content import Content

from cockpit.runs.thumbnails import CAPTION, half_blocks, picture, shaded, shrunk
from cockpit.ui.format import plain_terminal
from cockpit.ui.model.words import clean
from cockpit.ui.plot.series import Series
from cockpit.ui.plot.text import curve_text
from cockpit.ui.widgets.spark import sparkline

SIDE = 28
"""No thumbnail is wider."""


def thumbnails(plain: list[dict[str, Any]], width: int, *, colours: bool) -> Content:
    """Rows of images with their targets below them, as many side by side as fit."""
    pictures = [picture(each) for each in plain]
    small = [shrunk(each.pixels, min(SIDE, max(8, width - 2))) for each in pictures]
    captions = [clean(each.caption)[: min(CAPTION, width)] for each in pictures]
    wide = max(max(image.shape[1], len(caption)) for image, caption in zip(small, captions, strict=True))
    each_row = max(1, (width + 2) // (wide + 2))
    rows = []
    for start in range(0, len(small), each_row):
        part = range(start, min(start + each_row, len(small)))
        drawn = [_lines(small[index], wide, colours) for index in part]
        below = [Content.styled(captions[index].ljust(wide), "bold") for index in part]
        lines = [Content("  ").join(line) for line in zip(*drawn, strict=True)]
        rows.append(Content("\n").join([*lines, Content("  ").join(below)]))
    return Content("\n\n").join(rows)


def _lines(pixels: Any, wide: int, colours: bool) -> list[Content]:
    pad = " " * (wide - pixels.shape[1])
    if not colours or plain_terminal():
        return [Content(row + pad) for row in shaded(pixels)]
    return [Content.assemble(*row, pad) for row in half_blocks(pixels)]


def finding(found: dict[str, Any], width: int) -> Content:
    """One check: its verdict, its lines, its curve, its histograms."""
    sign, tone = ("✓", "$success") if found["ok"] else ("▲", "$warning")
    parts = [Content.assemble((f"{sign} {found['name']}  ", f"bold {tone}"), clean(found["headline"]))]
    parts += [Content(f"  {clean(line)}"[:width]) for line in found["lines"]]
    if found["curve"]:
        x, y = np.array(found["curve"]).T
        log = found["axes"][0] == "learning rate"
        place = np.arange(len(x), dtype=float) if log else x
        label = f"{found['axes'][1]} over {found['axes'][0]}"
        label += f", {x[0]:.0e} to {x[-1]:.0e} in equal ratios; ends at" if log else "; ends at"
        parts.append(Content(curve_text([Series(label, place, y)], width, 9, x_max=float(place[-1]))))
    name = 20 if width >= 60 else 8
    room = max(4, width - name - 20)
    for layer, (low, high, counts) in found["histograms"].items():
        bars = sparkline(counts, min(len(counts), room))
        parts.append(Content(f"  {clean(layer)[:name]:<{name}} {low:8.3f} {bars} {high:.3f}"))
    return Content("\n").join(parts)
