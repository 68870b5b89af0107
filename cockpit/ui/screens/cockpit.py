"""The cockpit screen: panes around one run. It polls the run directory, pushes views down and turns keys into orders."""

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.reactive import Reactive
from textual.widget import Widget

from cockpit.ui.helm import Helm
from cockpit.ui.model.layout import COLUMNS, PLOTS, TALL, shown_panes
from cockpit.ui.model.view import View
from cockpit.ui.panes.base import Pane
from cockpit.ui.panes.curves import AccuracyPane, LossPane
from cockpit.ui.panes.data import DataPane
from cockpit.ui.panes.flags import FlagsPane
from cockpit.ui.panes.header import HeaderLine
from cockpit.ui.panes.layers import LayersPane
from cockpit.ui.panes.machine import MachinePane
from cockpit.ui.panes.pages import PAGES, PageName, Pages
from cockpit.ui.panes.rates import RatesPane
from cockpit.ui.panes.summary import SummaryBox
from cockpit.ui.panes.tricks import TricksPane
from cockpit.ui.screens.orders import Orders
from cockpit.ui.widgets.key_line import KeyLine

SUMMARY_ROWS = 9
"""What the summary takes from the plots."""
HURRY = 15
"""Quick looks after an order."""
QUICKEST, SLOWEST = 0.5, 4.0
"""Seconds between two looks at a run."""
SHARE = 0.05
"""Of one core: what looking and drawing may take."""
SHOWN = ("tricks", "flags", "layers")
"""Pages whose keys stand in the footer; the help screen lists them all."""
ALLOWED: dict[str, Callable[[View], bool]] = {
    "start": lambda view: view.ready,
    "pause": lambda view: view.state in ("running", "paused"),
    "release": lambda view: view.state in ("running", "paused") and not view.watched,
    "checkpoint": lambda view: view.state in ("running", "paused") and not view.watched,
    "stop": lambda view: view.live,
    "vault": lambda view: not view.ready and not view.watched and view.state not in ("new", "starting"),
    "resume": lambda view: view.state in ("stopped", "interrupted", "failed", "lost") and not view.watched,
    "new_run": lambda view: not view.ready and not view.live and not view.watched,
    "inspect": lambda view: view.ready or (view.state not in ("new", "starting") and not view.watched),
}
"""Action -> whether a view allows it; the others always do."""


class CockpitScreen(Orders):
    """Fly a run."""

    HELP_TITLE = "Cockpit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r,enter", "start", "Start", key_display="r", tooltip="Start the run"),
        Binding("u", "resume", "Resume", tooltip="Go on from the last checkpoint"),
        Binding("space", "pause", "Pause", tooltip="Pause the run, or let it go on"),
        Binding("P", "release", "Release", show=False, tooltip="Pause, and give the device back until the run goes on"),
        Binding("n", "new_run", "New run", tooltip="A new run from this recipe and the edits that wait"),
        *(Binding(key, f"page({page!r})", page.capitalize(), show=page in SHOWN) for page, key in PAGES.items()),
        Binding("x", "rates", "Next rate", show=False, tooltip="Small plot: lr, gradient norm, update ratio, speed"),
        Binding("b", "inspect('batch')", "Batch", show=False, tooltip="See the next training batch as the tricks leave it"),
        Binding("k", "inspect", "Checks", tooltip="A closer look: checks before training, weights, noise, sharpness"),
        Binding("c", "checkpoint", "Save", tooltip="Write a checkpoint now"),
        Binding("d", "detach", "Detach", tooltip="Leave this screen; the run goes on"),
        Binding("s", "stop", "Stop", tooltip="Stop the run with a checkpoint"),
        Binding("v", "vault", "Vault", show=False, tooltip="Score the sealed test set, once you are done choosing"),
    ]

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    """Textual would paint the whole screen anew; what looks otherwise with the focus is told by its styles."""

    def __init__(self, helm: Helm) -> None:
        super().__init__()
        self.helm = helm
        self._page, self._plot, self._hurry = "plots", 0, HURRY
        self._reading = False
        self._shown: list[Pane] = []
        """The panes that there is room for: the others are neither drawn nor worked out."""
        self._calm = 2
        """Looks whose memory stays: the first, and the second, which reads the recipe."""

    def compose(self) -> ComposeResult:
        """Three columns, of which small screens show one pane at a time."""
        yield HeaderLine()
        yield Pages()
        with Horizontal(id="columns"):
            with Vertical(id="left"):
                yield DataPane(id="data")
                yield TricksPane(id="tricks")
            with Vertical(id="middle"):
                yield SummaryBox()
                yield LossPane(id="loss")
                yield AccuracyPane(id="accuracy")
                yield RatesPane(id="rates")
            with Vertical(id="right"):
                yield FlagsPane(id="flags")
                yield LayersPane(id="layers")
                yield MachinePane(id="machine")
        yield KeyLine()

    def on_mount(self) -> None:
        """Draw what is known, then keep looking."""
        self._arrange()
        self._tick()
        self.query_one(LossPane).focus()
        self.call_after_refresh(self.run_worker, self._look_closer())

    async def _look_closer(self) -> None:
        """The second look reads the recipe and the whole catalogue: in a thread, so that keys are answered meanwhile."""
        self._reading, before = True, self.helm.view.state
        fresh = await asyncio.to_thread(self.helm.poll)
        self._reading = False
        if fresh:
            self._push(before)
        self.acknowledge()

    def _poll(self) -> None:
        """Look for news, and draw them."""
        before = self.helm.view.state
        if self._reading:
            return
        if self.helm.poll():
            self._push(before)
        self.acknowledge()

    def _tick(self) -> None:
        """Look for news: soon after an order, else at the pace that drawing it allows."""
        spent, begun = time.thread_time(), time.perf_counter()
        self._poll()
        busy = time.perf_counter() - begun
        self.call_after_refresh(self._rest, spent, busy)

    def _rest(self, spent: float, busy: float) -> None:
        """Wait for the next look. A frame costs what this thread spent on it, or more where others held it up."""
        if self._calm:
            self._calm -= 1
            self.app.calm()
        cost = max(time.thread_time() - spent, busy)
        quickest = 0.1 if self._hurry else QUICKEST if self.helm.view.live else 2 * QUICKEST
        self._hurry = max(0, self._hurry - 1)
        self.set_timer(min(max(quickest, cost / SHARE), SLOWEST), self._tick)

    def _push(self, before: str) -> None:
        view = self.helm.view
        with self.app.batch_update():
            self._arrange()
            self.query_one(HeaderLine).show(view)
            self.query_one(SummaryBox).show(view)
            for pane in self._shown:
                pane.show(view)
        if view.state != before or before == "ready":
            self.refresh_bindings()

    def look(self) -> None:
        """Draw at once what an order changed, and watch for the answer of the run."""
        self._hurry = HURRY
        self._poll()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that mean nothing now are neither obeyed nor shown."""
        if action == "resume" and self.app.starter:
            return False  # a host in this process begins runs only
        return ALLOWED[action](self.helm.view) if action in ALLOWED else True

    def on_resize(self) -> None:
        """Show what fits."""
        self._arrange()

    def _arrange(self) -> None:
        width, height = self.app.size
        height -= SUMMARY_ROWS if self.helm.view.summary and height >= TALL else 0
        shown = shown_panes(width, height, self._page, PLOTS[self._plot])
        for column, panes in COLUMNS.items():
            _display(self.query_one(f"#{column}"), not shown.isdisjoint(panes))
            for pane in panes:
                _display(self.query_one(f"#{pane}"), pane in shown)
        before, self._shown = self._shown, [self.query_one(f"#{name}", Pane) for name in sorted(shown)]
        for fresh in self._shown:
            if before and fresh not in before:  # what was hidden was not drawn
                fresh.show(self.helm.view)
        self._mark_pages()

    def _mark_pages(self) -> None:
        self.query_one(Pages).mark(self._page, sum(found.counts for found in self.helm.view.findings))

    def action_page(self, page: str) -> None:
        """Go to a page; plots again goes to the next plot."""
        if page == "plots" and self._page == "plots":
            self._plot = (self._plot + 1) % len(PLOTS)
        self._page = page
        self._arrange()
        pane = self.query_one(f"#{PLOTS[self._plot] if page == 'plots' else page}", Pane)
        pane.take_focus()

    def on_page_name_picked(self, message: PageName.Picked) -> None:
        """A page's name was clicked."""
        self.action_page(message.page)

    def action_rates(self) -> None:
        """Show the next rate in the small plot."""
        if self.query_one(RatesPane).display:
            self.query_one(RatesPane).next_tab()
        self._plot = PLOTS.index("rates")
        self._page = "plots"
        self._arrange()


def _display(node: Widget, shown: bool) -> None:
    """Setting what is set already would lay the screen out again."""
    if node.display is not shown:
        node.display = shown
