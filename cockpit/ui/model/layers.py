"""The layers pane: each layer's last measurements."""

from dataclasses import dataclass

import numpy as np

from cockpit.runs.history import History
from cockpit.ui.format import percent
from cockpit.ui.model.words import clean

TAIL = 16
"""Measurements a sparkline shows."""
COUNTED = 4000
"""Measurements among which the last count of units and the last spread are looked for: only evaluations take them."""
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
    tail = history.layers[-TAIL * max(1, len(known)) :]
    counted = history.layers[-COUNTED * max(1, len(known)) :]
    counted = counted[~np.isnan(counted["dead"]) | ~np.isnan(counted["saturated"]) | ~np.isnan(counted["weight_std"])]
    rows = []
    for index, layer in enumerate(known):
        mine = tail[tail["layer"] == index]
        looked = counted[counted["layer"] == index]
        dead, saturated = _last(looked["dead"]), _last(looked["saturated"])
        rows.append(
            LayerRow(
                name=clean(layer.name),
                grads=tuple(float(f"{norm:.3g}") for norm in mine["grad_norm"] if not np.isnan(norm)),
                dead=percent(dead),
                saturated=percent(saturated),
                sick=(dead >= DEAD, saturated >= SATURATED),
                ratio=_short(_last(mine["update_ratio"])),
                std=_short(_last(looked["weight_std"])),
            )
        )
    return tuple(rows)


def _last(values: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> float:
    known = values[~np.isnan(values)]
    return float(known[-1]) if len(known) else float("nan")


def _short(item: float) -> str:
    """Four or five cells: 0.012, 1e-3, 3e+8."""
    if not np.isfinite(item):
        return "-" if np.isnan(item) else "inf"
    return f"{item:.0e}".replace("e-0", "e-").replace("e+0", "e+") if 0 < item < 0.01 or item >= 1000 else f"{item:.3f}"[:5]
