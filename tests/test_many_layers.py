"""A thousand layers: the pane draws what is in view, and the model finds what a look at every layer finds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult

from cockpit.runs import events as ev
from cockpit.runs.history import History
from cockpit.runs.tables import LAYERS, STEPS, blank, places_of, rows_of
from cockpit.ui.model.layers import LayerRow, layers
from cockpit.ui.panes import layers as pane
from cockpit.ui.panes.layers import LayersPane

COUNT = 1000


def history(seed: int = 0) -> History:
    """Measurements at steps 10, 20 .. 90, counts at 0, 45 and 90; some are unknown."""
    chosen = np.random.default_rng(seed)
    parts = []
    for step in (0, 10, 20, 30, 40, 45, 50, 60, 70, 80, 90, 90):
        rows = blank(COUNT, LAYERS)
        rows["step"], rows["layer"] = step, np.arange(COUNT)
        counted = step in (0, 45) or (step == 90 and parts[-1]["step"][0] == 90)
        for name in ("dead", "saturated", "weight_std") if counted else ("grad_norm", "weight_norm", "update_ratio"):
            rows[name] = np.where(chosen.random(COUNT) < 0.1, np.nan, chosen.random(COUNT) ** 2)
        parts.append(rows)
    started = ev.Started(
        **dict.fromkeys(("device", "precision"), "cpu"),
        **dict.fromkeys(("params", "steps_per_epoch", "total_steps", "epochs", "batch_size"), 90),
        layers=tuple(ev.Layer(name=f"layer{n}", kind="Linear", shape=(2, 2), params=4) for n in range(COUNT)),
        data=None,  # type: ignore[arg-type]
        plan={},
    )
    seen = ev.Evaluated(
        **dict.fromkeys(("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "probe_size", "val_size"), 1),
        best=False,
    )
    return History(started=started, layers=np.concatenate(parts), evaluations=[replace(seen, step=step) for step in (45, 90)])


def test_every_row_is_that_of_its_layer() -> None:
    whole = history()
    rows = {row.name: row for row in layers(whole)}
    assert len(rows) == COUNT
    for number in range(0, COUNT, 37):
        mine = [row for row in whole.layers if row["layer"] == number]
        last = {
            name: next((float(row[name]) for row in reversed(mine) if not np.isnan(row[name])), np.nan)
            for name in ("dead", "saturated", "weight_std", "update_ratio")
        }
        row = rows[f"layer{number}"]
        assert row.sick == (last["dead"] >= 0.4, last["saturated"] >= 0.5)
        assert row.grads == pytest.approx([float(f"{m['grad_norm']:.3g}") for m in mine if not np.isnan(m["grad_norm"])])
        assert row.dead == f"{100 * last['dead']:.0f} %" and float(row.std) == pytest.approx(
            last["weight_std"], rel=0.51, abs=1e-3
        )


def test_marked_layers_come_first_where_there_are_many() -> None:
    sick = [any(row.sick) for row in layers(history())]
    assert 0 < sum(sick) < COUNT and sick == sorted(sick, reverse=True)


async def test_only_rows_in_view_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def line(row: LayerRow, *rest: Any) -> Any:
        drawn.append(row.name)
        return whole(row, *rest)

    whole = pane._row
    monkeypatch.setattr(pane, "_row", line)

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield LayersPane(id="layers")

    async with Alone().run_test(size=(60, 20)) as pilot:
        rows = layers(history())
        pilot.app.query_one(LayersPane).draw((rows, None))
        await pilot.pause()
        assert set(drawn) <= {row.name for row in rows[:20]} and len(drawn) < 100
        drawn.clear()
        pilot.app.query_one("VerticalScroll").scroll_end(animate=False)
        await pilot.pause()
        assert rows[-1].name in drawn and set(drawn) <= {row.name for row in rows[-20:]}


def test_places_are_found_without_a_look_at_every_row() -> None:
    rows = blank(500, STEPS)
    rows["step"] = np.arange(10, 510)
    asked = np.array([10, 11, 250, 509, 600, 3])
    assert places_of(rows, asked).tolist() == [0, 1, 240, 499, 499, 0]
    gaps = rows[np.arange(500) % 7 > 0]
    for step in range(5, 515):
        assert places_of(gaps, np.array([step]))[0] == min(np.searchsorted(gaps["step"], step), len(gaps) - 1)
    some = history().layers
    assert [len(rows_of(some, step)) for step in (0, 45, 90, 91)] == [COUNT, COUNT, 2 * COUNT, 0]
