"""The layers pane: each layer's last measurements."""

from dataclasses import dataclass

import numpy as np

from cockpit.runs.history import History
from cockpit.ui.format import percent
from cockpit.ui.model.words import clean

TAIL = 16
"""Measurements a sparkline shows."""
COUNTED = 4000
"""Measurements among which the last count of dead and stuck units is looked for: only evaluations count them."""
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


def layers(history: History) -> tuple[LayerRow, ...]:
    """Every layer in the order of the forward pass, measured or not. Reads only the end of the table."""
    if history.started is None:
        return ()
    known = history.started.layers
    tail = history.layers[-TAIL * max(1, len(known)) :]
    counted = history.layers[-COUNTED * max(1, len(known)) :]
    counted = counted[~np.isnan(counted["dead"]) | ~np.isnan(counted["saturated"])]
    rows = []
    for index, layer in enumerate(known):
        mine = tail[tail["layer"] == index]
        dead, saturated = (_last(counted[name][counted["layer"] == index]) for name in ("dead", "saturated"))
        rows.append(
            LayerRow(
                name=clean(layer.name),
                grads=tuple(float(f"{norm:.3g}") for norm in mine["grad_norm"] if not np.isnan(norm)),
                dead=percent(dead),
                saturated=percent(saturated),
                sick=(dead >= DEAD, saturated >= SATURATED),
                ratio=_short(_last(mine["update_ratio"])),
                std=_short(_last(mine["weight_std"])),
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
