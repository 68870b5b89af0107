"""The launch screen: what could be flown, and what has been."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cockpit.ui.screens.launch_lines import BANNER, RUNS_SHOWN, heading, order, preset_line, run_line
from cockpit.ui.widgets.key_line import KeyLine

if TYPE_CHECKING:
    from cockpit.recipe import Preset
    from cockpit.ui.app import CockpitApp
    from cockpit.ui.model.launch import RunRow


class LaunchScreen(Screen[None]):
    """Open a preset, or attach to a run."""

    HELP_TITLE = "Launch"
    app: CockpitApp
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o,enter", "open", "Open", key_display="enter", tooltip="Open the preset, or attach to the run"),
        Binding("n", "again", "New from run", tooltip="A new run from the selected run's recipe"),
        Binding("slash", "filter", "Filter", tooltip="Show only what matches some words"),
        Binding("escape", "unfilter", "Show all", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._presets: list[Preset] = []
        self._runs: list[RunRow] | None = None

    def compose(self) -> ComposeResult:
        """A banner, the list, the keys."""
        yield Static(BANNER, id="banner")
        yield Input(placeholder="filter: words of a name, a purpose or a state", compact=True)
        yield OptionList(id="choices", markup=False, compact=True)
        yield KeyLine()

    def on_mount(self) -> None:
        """The first frame needs no recipe and no run; both are read behind it."""
        self.query_one(Input).display = False
        self.query_one(OptionList).focus()
        self.call_after_refresh(self._read)
        self.set_interval(5, self._read)

    def on_screen_resume(self) -> None:
        """A run may have begun or ended meanwhile."""
        if self._runs is not None:
            self._read()

    def _read(self) -> None:
        self.run_worker(self._gather, thread=True, exclusive=True, group="gather")

    def _gather(self) -> None:
        from cockpit.recipe import presets
        from cockpit.runs.directory import list_runs
        from cockpit.ui.model.launch import run_row

        shipped = self._presets or sorted(presets(), key=order)
        self.app.call_from_thread(self._show, shipped, self._runs)
        found = [run_row(run, self.app.now()) for run in list_runs(self.app.runs)[:RUNS_SHOWN]]
        self.app.call_from_thread(self._show, shipped, found)

    def _show(self, presets: list[Preset], runs: list[RunRow] | None) -> None:
        if (presets, runs) != (self._presets, self._runs) or not self.query_one(OptionList).option_count:
            self._presets, self._runs = presets, runs
            self._draw()

    def _draw(self) -> None:
        from cockpit.ui.model.launch import matches

        words, listed = self.query_one(Input).value, self.query_one(OptionList)
        width = max(30, self.size.width - 8)
        selected = listed.highlighted_option.id if listed.highlighted_option else None
        shipped = [each for each in self._presets if matches(words, each.name, each.about)]
        flown = [row for row in self._runs or [] if matches(words, row.name, row.run.id, row.state.word)]
        options = [Option(heading("Presets", "what to fly"), disabled=True)]
        options += [Option(preset_line(each, width), id=f"preset {each.name}") for each in shipped]
        note = "reading …" if self._runs is None else "" if self._runs else "none yet: open a preset and press r"
        options += [Option("", disabled=True), Option(heading("Runs", note), disabled=True)]
        options += [Option(run_line(row, width), id=f"run {row.run.path}") for row in flown]
        listed.set_options(options)
        ids = [option.id for option in options if option.id]
        if ids:
            listed.highlighted = listed.get_option_index(selected if selected in ids else ids[0])

    def on_resize(self) -> None:
        """Lines are laid out for the width."""
        if self._presets:
            self._draw()

    def _selected(self) -> tuple[str, str]:
        option = self.query_one(OptionList).highlighted_option
        kind, _, what = (option.id if option and option.id else "").partition(" ")
        return kind, what

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click opens."""
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        """Open the selected preset or run."""
        from cockpit.ui.helm import Helm, Refusal

        kind, what = self._selected()
        try:
            if kind == "preset":
                from cockpit.recipe import load

                self.app.open_helm(Helm(recipe=load(what), name=what))
            elif row := self._row(what):
                self.app.open_helm(Helm(run=row.run))
        except Refusal as error:
            self.notify(str(error), severity="error", markup=False)

    def _row(self, path: str) -> RunRow | None:
        return next((row for row in self._runs or [] if str(row.run.path) == path), None)

    def action_again(self) -> None:
        """A draft from the selected run's recipe and its waiting edits; a preset opens as it is."""
        from cockpit.ui.helm import Helm

        row = self._row(self._selected()[1])
        if row is None:
            self.action_open()
            return
        helm = Helm(run=row.run)
        helm.poll()
        helm.poll()  # the recipe is read at the second look
        self.app.open_draft(helm, [])

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        event.stop()
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """On to what was found."""
        event.stop()
        self.query_one(OptionList).focus()

    def action_filter(self) -> None:
        """Type words to narrow the list."""
        field = self.query_one(Input)
        field.display = True
        # At once: over a slow line the words may arrive in one burst with the slash.
        self.set_focus(field)

    def action_unfilter(self) -> None:
        """Show everything again."""
        field = self.query_one(Input)
        field.value, field.display = "", False
        self.query_one(OptionList).focus()
