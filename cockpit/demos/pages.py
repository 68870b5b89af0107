"""How the results of the demonstrations look."""

from collections.abc import Sequence

import numpy as np

from cockpit.demos import decision_map, next_token_toy, optimizer_race
from cockpit.demos.panels import Curve, Page, Panel, Piece, pale, ramp
from cockpit.demos.points import WINDOW
from cockpit.demos.surfaces import Surface

REGIONS = ((49, 104, 172), (146, 176, 208), (240, 240, 236), (226, 170, 128), (190, 88, 36))
POINTS = (("o", "#08204a"), ("x", "#571c00"))
FINER = 4
"""Measured places to a pixel, each way."""

HEIGHTS = ((8, 16, 40), (24, 56, 88), (40, 96, 120), (88, 136, 136), (152, 168, 152))
BANDS = 12
TRACK = 76
"""Characters across a surface."""
INKS = ("#ff5f5f", "#ffd75f", "#5fff87", "#5fd7ff", "#ff87ff", "#ffaf5f", "#ffffff")

GREYS = ((16, 16, 24), (240, 240, 232))


def decision_page(result: decision_map.Result) -> Page:
    """A panel for each map, o and x for the training points, and a table."""
    lines = [f"{'':<34} {'fit':>7} {'new points':>11} {'unsure':>7} {'slope':>6}"]
    for each in result.maps:
        title = each.title if len(each.title) <= 34 else each.title[:31] + "..."
        accuracy = f"{each.train_accuracy:>7.1%} {each.fresh_accuracy:>11.1%}"
        lines.append(f"{title:<34} {accuracy} {each.unsure:>7.1%} {each.slope:>6.3f}")
    lines += [
        "unsure: share of the map where neither class has 90 %",
        "slope: mean steepness of the probability, which is the mean length of the lines of equal probability",
    ]
    return Page(tuple(_region(each, result) for each in result.maps), tuple(lines))


def _region(seen: decision_map.Map, result: decision_map.Result) -> Panel:
    rows, columns = decision_map.ROWS // FINER, decision_map.COLUMNS // FINER
    share = seen.probability.reshape(rows, FINER, columns, FINER).mean(axis=(1, 3))
    letters: dict[tuple[int, int], Piece] = {}
    for (x, y), label in zip(result.places.tolist(), result.classes.tolist(), strict=True):
        letters[_cell(x, y, WINDOW, rows // 2, columns)] = POINTS[label]
    return Panel(seen.title, ramp(REGIONS, share), pale(share), letters)


def _cell(x: float, y: float, window: tuple[float, float, float, float], rows: int, columns: int) -> tuple[int, int]:
    """The character at a place, the nearest where it lies outside."""
    left, right, bottom, top = window
    across, down = (x - left) / (right - left) * columns, (top - y) / (top - bottom) * rows
    return int(np.clip(down, 0, rows - 1)), int(np.clip(across, 0, columns - 1))


def race_page(result: optimizer_race.Result) -> Page:
    """The surface in bands of height, the trails as small letters, capitals where they end, and a table."""
    surface = result.surface
    start = surface.at(*surface.start) - surface.lowest
    lines = [
        f"+ start   * lowest   a small letter for each step, a capital at the end; {result.steps:,} steps",
        f"{'':<12} rate      height at the end   within 1 % of the way down",
    ]
    for trail in result.trails:
        arrived = "no" if trail.arrived is None else f"after step {trail.arrived}"
        name = f"{optimizer_race.LETTERS[trail.optimizer]} {trail.optimizer}"
        lines.append(f"{name:<12} {trail.rate:<9g} {max(0.0, trail.heights[-1]):<19.2e} {arrived}")
    lines += [f"the start lies {start:.2f} above the lowest point", f"{surface.name}: {surface.about}"]
    return Page((_track(surface, result.trails),), tuple(lines))


def _track(surface: Surface, trails: Sequence[optimizer_race.Trail]) -> Panel:
    left, right, bottom, top = surface.window
    rows = round(TRACK * (top - bottom) / (right - left) / 2)
    x = left + (np.arange(TRACK) + 0.5) * (right - left) / TRACK
    y = top - (np.arange(2 * rows) + 0.5) * (top - bottom) / (2 * rows)
    heights = surface.value(*np.meshgrid(x, y)) - surface.lowest
    band = np.floor(np.sqrt(heights.clip(min=0) / heights.max()) * BANDS).clip(max=BANDS - 1) / (BANDS - 1)

    def cell(place: tuple[float, float]) -> tuple[int, int]:
        return _cell(*place, surface.window, rows, TRACK)

    letters: dict[tuple[int, int], Piece] = {cell(surface.goal): ("*", "#ffffff")}
    signs = [optimizer_race.LETTERS[trail.optimizer] for trail in trails]
    inks = dict(zip(optimizer_race.LETTERS.values(), INKS, strict=True))
    ways = [
        {cell(place): (sign.lower(), inks[sign]) for place in trail.places} for sign, trail in zip(signs, trails, strict=True)
    ]
    for way in sorted(ways, key=len, reverse=True):  # those of small steps would hide the others
        letters |= way
    letters |= {cell(trail.places[-1]): (sign, inks[sign]) for sign, trail in zip(signs, trails, strict=True)}
    letters[cell(surface.start)] = ("+", "#ffffff")
    return Panel(surface.name, ramp(HEIGHTS, band), pale(band), letters)


def next_token_page(result: next_token_toy.Result) -> Page:
    """The digits that were drawn, each pixel two characters wide, what was learned, and its curve."""
    share = (result.drawn / (result.levels - 1)).repeat(2, axis=1).repeat(2, axis=2)
    panels = tuple(Panel("", ramp(GREYS, each), (each * 255).astype(np.uint8)) for each in share)
    known = result.baselines
    lines = (
        f"{'':<36} bits for a pixel   right",
        f"{'the network':<36} {result.bits:>16.3f} {result.accuracy:>7.1%}",
        f"{'how often a code is found here':<36} {known.by_place:>16.3f}",
        f"{'how often a code is found anywhere':<36} {known.unigram:>16.3f} {known.majority:>7.1%}",
        "on digits that it was not trained on",
    )
    steps = np.arange(1.0, len(result.curve) + 1)
    curves = (
        Curve("bits for a pixel, by step", steps, result.curve),
        Curve("anywhere", steps, np.full(len(steps), known.unigram)),
        Curve("here", steps, np.full(len(steps), known.by_place)),
    )
    return Page(panels, lines, curves)
