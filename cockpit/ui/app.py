"""The application: which screen, which run, and how it is left. Importing it imports little more than textual."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.events import Resize
from textual.filter import LineFilter
from textual.geometry import Size
from textual.screen import Screen

from cockpit.runs.directory import RunDir
from cockpit.ui.collector import Collector
from cockpit.ui.format import plain_terminal
from cockpit.ui.notices import Ringer, sequence
from cockpit.ui.widgets.ascii import AsciiFilter, to_ascii
from cockpit.ui.widgets.safe import SafeFilter

if TYPE_CHECKING:
    from cockpit.ui.helm import Edits, Helm

Starter = Callable[[RunDir], None]


class CockpitApp(App[None]):
    """The cockpit in a terminal."""

    HELP_TITLE = "Everywhere"
    TITLE = "cockpit"
    CSS_PATH = "cockpit.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-medium"), (116, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-tall"), (36, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+q", "quit", "Quit", key_display="q", tooltip="Quit; a live run may go on without the screen"),
        Binding("question_mark,f1", "keys", "Help", key_display="?", tooltip="Every key that works here"),
        Binding("ctrl+t", "change_theme", "Theme", show=False, tooltip="Choose other colours"),
        Binding("ctrl+p", "command_palette", "Palette", show=False, tooltip="Search every action by its name"),
        Binding("ctrl+n", "mute", "Mute", show=False, tooltip="Bell and notifications of the terminal: off, and on again"),
        Binding("ctrl+l", "redraw", "Redraw", show=False, tooltip="Draw the whole screen again"),
    ]

    def __init__(
        self,
        *,
        runs: Path,
        recipe: str | None = None,
        edits: Sequence[str] = (),
        run: RunDir | None = None,
        starter: Starter | None = None,
        allow_code: bool = False,
        read_only: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`recipe` is loaded and ready, `run` is attached to, neither opens the launch screen. `starter` trains in process."""
        super().__init__()
        self.runs, self.allow_code, self.now = runs, allow_code, now
        self.starter, self.read_only = starter, read_only
        self._first = (recipe, tuple(edits), run)
        self.flown: list[RunDir] = []
        self._ringer, self._collector = Ringer(), Collector()
        self._ascii = [AsciiFilter()] if plain_terminal() else []
        self._safe = SafeFilter()

    def get_driver_class(self) -> type[Driver]:
        """Textual's, or for Unix the one that sends differences at the pace of the terminal."""
        given = super().get_driver_class()
        if given.__name__ != "LinuxDriver":
            return given
        from cockpit.ui.terminal.driver import PacedDriver

        return PacedDriver

    def on_resize(self, event: Resize) -> None:
        """A terminal of another size has laid out its lines anew, or dropped some."""
        self._resend(event.size)

    def _resend(self, size: Size) -> None:
        if forget := getattr(self._driver, "forget", None):
            forget(size.width, size.height)

    def get_default_screen(self) -> Screen[Any]:
        """The first screen is built once, and nothing that it does not need is imported."""
        recipe, edits, run = self._first
        if run is None and recipe is None:
            from cockpit.ui.screens.launch import LaunchScreen

            return LaunchScreen()
        if run:
            from cockpit.ui.screens.opening import Opening

            return Opening(run)
        from cockpit.recipe import load
        from cockpit.ui.helm import Helm
        from cockpit.ui.screens.cockpit import CockpitScreen

        return CockpitScreen(Helm(recipe=load(recipe or "", edits), name=Path(recipe or "").stem))

    def on_mount(self) -> None:
        """Look now and then for what the terminal shall tell."""
        self.set_interval(0.5, self._ring)

    def calm(self) -> None:
        """What there is now stays: the collector need not look at it. A test's process outlives its applications."""
        if not self.is_headless:
            self._collector.calm()

    def _ring(self) -> None:
        """Between two frames, through the driver, as the bell goes: nothing else may write to the terminal."""
        for helm in [screen.helm for screen in self.screen_stack if hasattr(screen, "helm")]:
            self._ringer.add(helm.name, helm.notices)
            helm.notices = []
        said = self._ringer.due(time.monotonic())
        if said and self._driver is not None and not self.is_headless:
            self._driver.write(sequence(*map(to_ascii, said) if self._ascii else said))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Nothing that drives a terminal; textual's own; and ASCII where the terminal shows no more."""
        return [self._safe, *super().get_line_filters(), *self._ascii]

    def open_helm(self, helm: Helm) -> None:
        """Open the cockpit screen on a draft or a run."""
        from cockpit.ui.screens.cockpit import CockpitScreen

        self.push_screen(CockpitScreen(helm))

    def open_draft(self, helm: Helm, edits: Edits) -> None:
        """Open a new draft from a run's recipe, its waiting edits and some more."""
        from cockpit.ui.helm import Refusal, draft_of

        if elsewhere := helm.elsewhere("begin the new run"):
            self.notify(elsewhere, severity="warning", markup=False)
            return
        try:
            draft = draft_of(helm, edits)
        except Refusal as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.open_helm(draft)
        self.notify(f"a new run from {helm.name}: r starts it, d goes back", markup=False)

    def fly(self, run: RunDir, *, resume: bool = False) -> None:
        """Start a host for a run: in the background, or in this process."""
        self.flown.append(run)
        self.run_worker(partial(self._fly, run, resume), thread=True, group="host")

    def _fly(self, run: RunDir, resume: bool) -> None:
        from cockpit.runs.launch import spawn

        try:
            if self.starter:
                self.starter(run)
            else:
                spawn(run, resume=resume)
        except Exception as error:  # a host that cannot begin is told, never a silent thread
            self.call_from_thread(self.notify, f"the run cannot start: {error}", severity="error", markup=False, timeout=20)

    def leave_run(self) -> None:
        """Back to the screen before, or out."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.exit()

    async def action_quit(self) -> None:
        """Quit; where a run is alive, ask what shall become of it."""
        from cockpit.ui.departure import depart

        depart(self)

    def action_keys(self) -> None:
        """Every key that works on this screen."""
        from cockpit.ui.keys import help_text
        from cockpit.ui.screens.reading import Reading

        if not self.screen.is_modal:
            self.push_screen(Reading("Keys", help_text(self.screen)))

    def action_mute(self) -> None:
        """The terminal's notices: off, or on again."""
        self._ringer.muted = not self._ringer.muted
        self.notify(f"bell and notifications are {'off' if self._ringer.muted else 'on'}")

    def action_redraw(self) -> None:
        """Draw everything again, whatever another program left on the terminal."""
        self._resend(self.size)
        self.screen.refresh(layout=True)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every action of the screen, as the bindings tell it."""
        from cockpit.ui.keys import commands

        for title, help_text, node, action in commands(screen):
            yield SystemCommand(title, help_text, partial(self.run_action, action, node))
