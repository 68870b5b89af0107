"""What the user orders of a run: edits, commands, remedies, the vault, and leaving. The cockpit screen adds the panes."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from cockpit import catalog
from cockpit.cards import Knob
from cockpit.runs.directory import RunError, find
from cockpit.runs.events import Commanded, Edited, Ended, Flagged, Remedied, Snoozed
from cockpit.runs.history import History
from cockpit.ui.helm import Edits, Helm, Refusal, open_vault
from cockpit.ui.model.card_curve import drawing
from cockpit.ui.model.findings import SILENCED, Finding, set_aside, told
from cockpit.ui.model.tricks import TrickRow
from cockpit.ui.model.ways import Way
from cockpit.ui.model.words import STATES, clean
from cockpit.ui.panes.finding_lines import full_finding
from cockpit.ui.panes.flags import FlagsPane
from cockpit.ui.panes.trick_lines import full_card, knobs_for
from cockpit.ui.panes.tricks import TricksPane
from cockpit.ui.screens import questions
from cockpit.ui.screens.inspection import Inspection
from cockpit.ui.screens.knobs import KnobForm
from cockpit.ui.screens.member import ChooseMember
from cockpit.ui.screens.reading import Reading

if TYPE_CHECKING:
    from cockpit.ui.app import CockpitApp


SNOOZE, SHARE = 5, 0.1
"""Epochs for which a finding is put aside; in a long run, this share of it."""


class Orders(Screen[None]):
    """Turns keys and messages into orders to the helm, and the run's answers into words."""

    app: CockpitApp
    helm: Helm

    def look(self) -> None:
        """Draw at once what an order changed."""
        raise NotImplementedError

    def say(self, text: str, severity: Any = "information") -> None:
        """A toast; its text may come from anywhere."""
        self.notify(clean(text), severity=severity, markup=False)

    def acknowledge(self) -> None:
        """Say what the run answered, and what happened to it."""
        for event in self.helm.news:
            if isinstance(event, Edited):
                hold = "holds from now on" if event.live else "waits for the next run"
                self.say(f"{event.path} = {event.new}: {hold}")
            elif isinstance(event, Snoozed):
                self.say(f"{event.id}: {self._aside(event.id) or 'awake again'}")
            elif isinstance(event, Remedied):
                self.say(f"{event.id} {told(event)}")
                self._follow(event.run)
            elif isinstance(event, Commanded) and not (event.ok and event.verb in ("edit", "snooze", "remedy")):
                done = event.detail or ("done" if event.ok else "refused")
                self.say(f"{event.verb}: {done}", "information" if event.ok else "error")
            elif isinstance(event, Flagged) and event.severity != "info" and not self._aside(event.id):
                self.say(f"{event.id}: {event.headline}", "error" if event.severity == "critical" else "warning")
            elif isinstance(event, Ended):
                self.say(
                    f"run {STATES[event.state].word}. {event.reason}", "error" if event.state == "failed" else "information"
                )
        self.helm.news = []

    def _follow(self, run_id: str) -> None:
        """Go on to the run in which this one goes on."""
        if run_id and self.helm.link:
            self.say(f"it goes on as run {run_id}: `cockpit attach {self.helm.link.beside(run_id)}` shows it")
        elif run_id and self.helm.run and self.is_current:
            try:
                found = find(self.helm.run.path.parent, run_id)
                self.app.open_helm(Helm(run=found, read_only=self.helm.read_only))
            except RunError as error:
                self.say(str(error), "error")

    def _aside(self, flag: str) -> str:
        return set_aside(self.helm.reader.history, flag) if self.helm.reader else ""

    def edit(self, edits: Edits) -> None:
        """Make edits: in the draft, on the running run, or, once a run has ended, in a new draft."""
        view = self.helm.view
        if not view.ready and not view.live:
            self.app.open_draft(self.helm, edits)
            return
        try:
            for path, value in edits:
                self.helm.edit(path, value)
        except Refusal as error:
            self.say(str(error), "error")
        self.look()

    def order(self, verb: str, **args: str) -> None:
        """Send the run a command."""
        try:
            self.helm.order(verb, **args)
        except Refusal as error:
            self.say(f"the command cannot be sent: {error}", "error")
        self.look()

    def on_tricks_pane_asked(self, message: TricksPane.Asked) -> None:
        """Act on a trick."""
        row = message.row
        if message.want == "card":
            card = row.card
            if card:
                self.app.push_screen(Reading(f"{card.family} · {card.name}", full_card(card, row, self._drawing(row))))
        elif message.want == "knobs":
            self._edit_knobs(row)
        elif row.toggle:
            self.edit([(row.path, "off" if row.will_be_on else "on")])
        elif row.card is None:
            self._edit_knobs(row)
        else:
            self._choose(row, row.card.family)

    def _drawing(self, row: TrickRow) -> str:
        """The curve of an activation or a schedule as the recipe sets it."""
        recipe = self.helm.later
        if recipe is None or row.toggle or row.card is None:
            return ""
        started = self.helm.reader.history.started if self.helm.reader else None
        trick = attrgetter(row.path)(recipe)
        return drawing(trick, recipe, started.steps_per_epoch if started else None)

    def _edit_knobs(self, row: TrickRow) -> None:
        if not row.knobs:
            self.say(f"{row.chosen or row.label} has no knobs")
            return

        def hold(knob: Knob) -> str:
            if not self.helm.view.live:
                return ""
            return "takes hold at once" if knob.live or (row.toggle and row.live) else "waits for the next run"

        form = KnobForm(row.path, knobs_for(row), dict(row.knobs), self.helm.fault, hold)
        self.app.push_screen(form, lambda edits: self.edit(edits) if edits else None)

    def _choose(self, row: TrickRow, family: str) -> None:
        def chosen(name: str | None) -> None:
            if name and name != row.chosen:
                self.edit([(row.path, name)])

        self.app.push_screen(ChooseMember(family, catalog.family(family), row.chosen), chosen)

    def on_flags_pane_remedied(self, message: FlagsPane.Remedied) -> None:
        """Show what a remedy will do, then do it."""
        found, number = message.finding, message.number
        way = found.ways[number - 1]
        if way is Way.ADVICE:
            self.say(f"{found.remedies[number - 1].label}: {way.sentence()}")
            return
        self.app.push_screen(questions.remedy(found, number), lambda answer: self._remedy(found, number) if answer else None)

    def _remedy(self, found: Finding, number: int) -> None:
        remedy, way = found.remedies[number - 1], found.ways[number - 1]
        if way is Way.DRAFT:
            self.app.open_draft(self.helm, remedy.edits)
        elif self.helm.watched:  # it knows commands and its optimizer's numbers, and no recipe to remedy
            self.order(remedy.verb) if way is Way.COMMAND else self.edit(remedy.edits)
        else:
            self.order("remedy", flag=found.id, number=str(number), by="user")

    def on_flags_pane_asked(self, message: FlagsPane.Asked) -> None:
        """Explain a finding, put it aside, or let its flag pause the run."""
        found, live = message.finding, self.helm.view.live
        if message.want == "card":
            card = catalog.flags().get(found.id)
            self.app.push_screen(Reading(f"flag · {found.id}", full_finding(found, card)))
        elif message.want == "snooze":
            self._snooze(found.id) if live else self.say("the run has ended: there is nothing to snooze")
        elif message.want == "silence":
            self._set_flag(found.id, "", "on" if found.aside == SILENCED else "off")
        else:
            self._set_flag(found.id, ".then", "note" if found.pauses else "pause")

    def _set_flag(self, flag: str, knob: str, value: str) -> None:
        if self.helm.watched:
            said = {flag: {"then": value} if knob else value == "on"}
            self.say(f"a loop of your own: say so in your script, watch(..., flags={said})")
        else:
            self.edit([(f"flags.{flag}{knob}", value)])

    def _snooze(self, flag: str) -> None:
        history = self.helm.reader.history if self.helm.reader else History()
        length, planned = (history.started.steps_per_epoch, history.started.epochs) if history.started else (0, 0)
        epochs = max(SNOOZE, round(SHARE * planned))
        self.order("snooze", flag=flag, epochs=str(epochs), until=str(history.step + epochs * length))

    def action_start(self) -> None:
        """Start the run, after asking where it would run code of the recipe's."""
        recipe = self.helm.now
        if recipe and type(recipe.model).runs_code and not self.app.allow_code:
            path = str(getattr(recipe.model, "path", "of the recipe"))
            self.app.push_screen(questions.consent(path), lambda answer: self._start(allow_code=True) if answer else None)
        else:
            self._start(allow_code=self.app.allow_code)

    def _start(self, *, allow_code: bool) -> None:
        try:
            run = self.helm.start(self.app.runs, allow_code=allow_code)
        except Refusal as error:
            self.say(str(error), "error")
            return
        self.app.fly(run)
        self.look()

    def action_resume(self) -> None:
        """Go on from the last checkpoint."""
        if self.helm.run and self._here("resume it"):
            self.app.fly(self.helm.run, resume=True)

    def _here(self, deed: str) -> bool:
        """Whether something can be done from this screen; where not, it says so."""
        if elsewhere := self.helm.elsewhere(deed):
            self.say(elsewhere, "warning")
        return not elsewhere

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.order("continue" if self.helm.view.state == "paused" else "pause")

    def action_release(self) -> None:
        """Pause, and give the device back."""
        self.order("pause", release="yes")

    def action_checkpoint(self) -> None:
        """Write a checkpoint now."""
        self.order("checkpoint")

    def action_stop(self) -> None:
        """Stop, once confirmed."""
        self.app.push_screen(questions.stop(self.helm.watched), lambda answer: self.order("stop") if answer else None)

    def action_new_run(self) -> None:
        """A new draft from this run's recipe and the edits that wait."""
        self.app.open_draft(self.helm, [])

    def action_inspect(self, first: str = "") -> None:
        """A closer look at the next batch or the network."""
        if self.helm.now is not None and (self.helm.link is None or self._here("look closer")):
            self.app.push_screen(Inspection(self.helm, first))

    def action_detach(self) -> None:
        """Leave; the run goes on."""
        self.app.leave_run()

    def action_vault(self) -> None:
        """Score the sealed test set, once confirmed."""
        run = self.helm.run
        if run is None or not self._here("open its vault"):
            return

        def answered(answer: str | None) -> None:
            if answer:
                self.say("opening the vault …")
                self.run_worker(partial(self._score, run), thread=True, exclusive=True, group="vault")

        self.app.push_screen(questions.vault(self.helm.looks), answered)

    def _score(self, run: Any) -> None:
        fault = open_vault(run)
        text, severity = (f"the vault stays shut: {fault}", "error") if fault else ("the look is in the ledger", "information")
        self.app.call_from_thread(self.say, text, severity)
        self.app.call_from_thread(self.look)
