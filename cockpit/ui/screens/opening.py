"""What stands on the screen while a run is read: its name. Reading takes numpy, and the first frame waits for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from cockpit.ui.model.words import clean

if TYPE_CHECKING:
    from cockpit.runs.directory import RunDir
    from cockpit.ui.app import CockpitApp


class Opening(Screen[None]):
    """The first frame of `cockpit attach`; the cockpit screen goes over it, and leaving that leaves the application."""

    app: CockpitApp

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self._run, self._gone_on = run, False

    def compose(self) -> ComposeResult:
        """The header line of the run, as far as its folder's name tells it."""
        who = Content.assemble((clean(self._run.name), "bold"), (f" · {self._run.id}", "$foreground 60%"))
        yield Static(Content("   ").join([Content.styled("cockpit", "bold $primary"), who, Content("◌ opening")]), id="header")

    def on_mount(self) -> None:
        """Go on once this has been drawn."""
        self.call_after_refresh(self._go_on)

    def on_screen_resume(self) -> None:
        """The cockpit screen was left."""
        if self._gone_on:
            self.app.exit()

    def _go_on(self) -> None:
        from cockpit.ui.helm import Helm
        from cockpit.ui.screens.cockpit import CockpitScreen

        self._gone_on = True
        self.app.push_screen(CockpitScreen(Helm(run=self._run, read_only=self.app.read_only)))
