"""What is not on the screen costs nothing: it is neither drawn nor worked out, and is up to date when it comes into view."""

from collections import Counter
from pathlib import Path

import pytest
import ui_canned
from ui_driver import WIDE, on_screen, opened, text, until

from cockpit.runs import events as ev
from cockpit.ui.model import view as views
from cockpit.ui.panes.base import Pane
from cockpit.ui.plot.widget import CurvePlot
from cockpit.ui.screens.cockpit import CockpitScreen

pytestmark = pytest.mark.usefixtures("canned_cards")
PARTS = ("layers", "answers", "data", "curves")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each pane was shown a view, each part of a view was worked out, and each plot was drawn."""
    counts: Counter[str] = Counter()

    def show(pane: Pane, view: views.View) -> None:
        counts[pane.id or ""] += 1
        real_show(pane, view)

    real_show, real_picture = Pane.show, CurvePlot._picture

    def picture(plot: CurvePlot) -> object:
        counts["picture"] += 1
        return real_picture(plot)

    monkeypatch.setattr(Pane, "show", show)
    monkeypatch.setattr(CurvePlot, "_picture", picture)
    for part in PARTS:
        real = getattr(views, part)
        monkeypatch.setattr(views, part, lambda *given, part=part, real=real: (counts.update([f"{part}()"]), real(*given))[1])
    return counts


async def test_a_hidden_pane_is_neither_drawn_nor_worked_out(runs: Path, counted: Counter[str]) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, (80, 24)) as pilot:
        await pilot.press("m")
        await pilot.pause()
        counted.clear()
        for epoch in range(8, 11):
            ui_canned.tell(run, ev.Noted(step=epoch, text=f"note {epoch}"))
            assert isinstance(app.screen, CockpitScreen)
            app.screen.look()
            await pilot.pause()
        assert counted.pop("machine") >= 3
        assert not counted
        await pilot.press("p")
        await pilot.pause()
        assert counted["loss"] and counted["curves()"] and counted["picture"] and not counted["layers()"]


async def test_what_comes_into_view_is_up_to_date(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    app = opened(runs, run=run)
    async with on_screen(app, (80, 24)) as pilot:
        ui_canned.tell(run, ui_canned.overfitting(2900))
        assert isinstance(app.screen, CockpitScreen)
        app.screen.look()
        await pilot.press("m")
        await until(pilot, lambda: "61 %" in text(app, "#machine Static"))


async def test_a_change_of_focus_does_not_paint_the_whole_screen(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(
        runs, run=ui_canned.write_run(runs, state=None, more=(ev.Ended(t=ui_canned.NOW, state="stopped", reason="k"),))
    )
    async with on_screen(app, WIDE) as pilot:
        painted: list[str] = []
        full, layout = type(app.screen)._compositor_refresh, type(app.screen)._refresh_layout
        whole = app.screen.size.region

        def refresh(screen: CockpitScreen) -> None:
            painted.append("whole" if whole in screen._compositor._dirty_regions else "part")
            full(screen)

        def lay_out(screen: CockpitScreen, *given: object, **named: object) -> None:
            painted.append("layout")
            layout(screen, *given, **named)

        monkeypatch.setattr(type(app.screen), "_compositor_refresh", refresh)
        monkeypatch.setattr(type(app.screen), "_refresh_layout", lay_out)
        for key in "tftf":
            await pilot.press(key)
            await pilot.pause(0.05)
        assert "part" in painted and not {"whole", "layout"} & set(painted)
