"""The layers pane: each layer's last measurements."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cockpit.runs.history import History
from cockpit.runs.tables import Rows, rows_of
from cockpit.ui.format import percent
from cockpit.ui.model.words import clean

TAIL = 16
"""Measurements a sparkline shows."""
MANY = 100
"""Layers from which on those that are marked come first: nobody scrolls through a thousand."""
DEAD, SATURATED = 0.4, 0.5
"""Shares of a layer's units from which on the layer is marked."""


@dataclass(frozen=True)
class LayerRow:
    """One layer."""

    name: str
    grads: tuple[float, ...]
    """Its last gradient norms."""
    dead: str
    """Share of its ReLU units that are never active; a dash where nobody counted."""
    saturated: str
    """Share of its sigmoid or tanh units that are stuck at their ends; likewise."""
    sick: tuple[bool, bool]
    """Whether so many units are dead, and so many stuck, that little can be learned."""
    ratio: str
    std: str


@dataclass(frozen=True)
class Answers:
    """What the network answers on the clean probe."""

    histogram: tuple[int, ...]
    span: str
    words: str


def answers(history: History) -> Answers | None:
    """Of the last evaluation; None where nobody looked."""
    seen = history.evaluations[-1] if history.evaluations else None
    if seen is None or seen.outputs is None:
        return None
    out = seen.outputs
    words = f"entropy {out.entropy:.2f}"
    known = [(share, place) for place, share in enumerate(seen.recalls) if not np.isnan(share)]
    if known:
        share, place = min(known)
        names = history.started.data.classes if history.started else ()
        words += f" · least recall {percent(share)} ({clean(names[place]) if place < len(names) else place})"
    return Answers(out.histogram, f"{out.low:.3g} to {out.high:.3g}", words)


def layers(history: History) -> tuple[LayerRow, ...]:
    """Every layer in the order of the forward pass, measured or not. Reads only the end of the table."""
    if history.started is None:
        return ()
    known = history.started.layers
    tail = np.asarray(history.layers)[-TAIL * max(1, len(known)) :]
    # Units are counted, and the spread is taken, before the first step and by evaluations.
    looks = [0, *(seen.step for seen in history.evaluations[-2:])]
    looked = np.concatenate([*(rows_of(history.layers, step) for step in looks), tail])
    dead, saturated, std = (_last(looked, name, len(known)) for name in ("dead", "saturated", "weight_std"))
    ratio, grads = _last(tail, "update_ratio", len(known)), _series(tail, "grad_norm", len(known))
    rows = [
        LayerRow(
            name=clean(layer.name),
            grads=grads[place],
            dead=percent(dead[place]),
            saturated=percent(saturated[place]),
            sick=(dead[place] >= DEAD, saturated[place] >= SATURATED),
            ratio=_short(ratio[place]),
            std=_short(std[place]),
        )
        for place, layer in enumerate(known)
    ]
    return tuple(sorted(rows, key=lambda row: not any(row.sick)) if len(rows) > MANY else rows)


def _last(rows: Rows, name: str, count: int) -> list[float]:
    """The last known value of each layer; NaN where there is none."""
    found = np.full(count, np.nan)
    known = rows[~np.isnan(rows[name]) & (rows["layer"] < count)]
    found[known["layer"]] = known[name]  # of several for one layer, the last one stays
    return found.tolist()


def _series(rows: Rows, name: str, count: int) -> list[tuple[float, ...]]:
    """All known values of each layer, in order, to three digits."""
    known = rows[~np.isnan(rows[name]) & (rows["layer"] < count)]
    order = np.argsort(known["layer"], kind="stable")
    ends = np.searchsorted(known["layer"][order], np.arange(count + 1))
    values = _three_digits(known[name][order].astype(np.float64)).tolist()
    return [tuple(values[begin:end]) for begin, end in pairwise(ends.tolist())]


def _three_digits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a sparkline can show: below that, a pane is not drawn anew."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (np.floor(np.log10(np.abs(values))) - 2)
        rounded: NDArray[np.float64] = np.where((values == 0) | ~np.isfinite(values), values, np.round(values / scale) * scale)
    return rounded


def _short(item: float) -> str:
    """Four or five cells: 0.012, 1e-3, 3e+8."""
    if not np.isfinite(item):
        return "-" if np.isnan(item) else "inf"
    return f"{item:.0e}".replace("e-0", "e-").replace("e+0", "e+") if 0 < item < 0.01 or item >= 1000 else f"{item:.3f}"[:5]
