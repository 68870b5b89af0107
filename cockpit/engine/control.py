"""Commands from outside, and what findings ask for: obeyed between two steps.

Importing it needs no torch, so that a host can listen while torch loads.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from cockpit.engine.distributed_place import place
from cockpit.recipe import RecipeError, changes, edit
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.mailbox import Command, Refused
from cockpit.runs.pausing import until
from cockpit.runs.remedies import SERIOUS, Act, Tried, key, next_act, snoozed
from cockpit.travel import Setback

if TYPE_CHECKING:
    from cockpit.engine.keeper import Keeper
    from cockpit.engine.recorder import Recorder
    from cockpit.engine.training import Training


@dataclass(frozen=True)
class End:
    """How a training ended on its own terms."""

    state: str
    """finished, stopped or interrupted; or released, for a run that waits without its device."""
    reason: str = ""


class Crew(NamedTuple):
    """What a command may work on."""

    job: Training
    recorder: Recorder
    keeper: Keeper


class Answer(NamedTuple):
    """What came of a command."""

    ok: bool = True
    detail: str = ""
    end: End | None = None


@dataclass
class Control:
    """`post` is called by the host's main thread, all else by the training thread."""

    paused: bool = field(default=False, init=False)
    auto: bool = field(default=False, init=False)
    """Remedies are applied unasked."""
    earlier: tuple[Tried, ...] = field(default=(), init=False)
    """What was applied unasked in the runs that this one goes on from."""
    again: tuple[ev.Edited, ...] = field(default=(), init=False)
    """Edits of later steps than the checkpoint from which the run was resumed."""
    successor: RunDir | None = field(default=None, init=False)
    """The run in which this one goes on."""

    def __post_init__(self) -> None:
        self._waiting: deque[Command | Refused] = deque()
        self._bell = threading.Event()
        self._evaluations = 0
        self._refused: set[Tried] = set()

    def post(self, command: Command | Refused) -> None:
        """Hand in what was in the mailbox; it is obeyed, or its refusal written down, after the step that is under way."""
        self._waiting.append(command)
        self._bell.set()

    def close(self) -> None:
        """The training is over."""

    def obey(self, job: Training, recorder: Recorder, keeper: Keeper) -> End | None:
        """Do what findings ask for and obey what waits, for as long as the run is paused. How the run must end, if it must."""
        crew = Crew(job, recorder, keeper)
        while self.again and self.again[0].step <= job.step:
            self._edit_again(crew)
        risen = keeper.logbook.risen()
        keeper.save_now_and_then(job, recorder)
        end = self._heed(risen, crew) if risen or (self.auto and self._evaluated(keeper)) else None
        return end or self._listen(crew)

    def recover(self, error: Exception, job: Training, recorder: Recorder, keeper: Keeper) -> End | None:
        """After a step raised: back to a healthy checkpoint, where a trick or the user asked for it; else raise it again."""
        from cockpit.engine.remedy import RefusedError, go_back, settle, tell

        crew = Crew(job, recorder, keeper)
        settle(recorder)
        if not isinstance(error, Setback):
            keeper.logbook.last_look()
            acted, end = self._treat(crew, fallen=True)
            if not acted:
                raise error
            return end or self._listen(crew)
        at = job.step
        try:
            go_back(job, recorder, keeper, before=at + 1)
        except RefusedError:
            raise error from None
        why = f"{error}: back from step {at:,} to step {job.step:,}, and paused there"
        tell(job, keeper, [f"paused{until(keeper.logbook.run)}: {why}"])
        self._pause(crew)
        return self._listen(crew)

    def _edit_again(self, crew: Crew) -> None:
        """What a kill overtook holds from the same step on as it did."""
        change, *later = self.again
        self.again = tuple(later)
        answer = _edit(change.path, change.new, crew)
        if not answer.ok:
            text = f"the edit of {change.path} at step {change.step:,} could not be made again: {answer.detail}"
            crew.keeper.logbook.write(ev.Noted(step=crew.job.step, text=text, level="warning"))

    def _listen(self, crew: Crew) -> End | None:
        """Obey what waits."""
        if not self._waiting and not self.paused:
            return None
        end = None
        while not end and (self._waiting or self.paused):
            crew.job.stages.enter("paused")
            self._bell.wait()
            self._bell.clear()
            while self._waiting and not end:
                end = self._one(self._waiting.popleft(), crew)
        crew.recorder.restart_clock()
        crew.job.stages.enter("record")
        return end

    def _one(self, command: Command | Refused, crew: Crew) -> End | None:
        crew.recorder.flush()
        if isinstance(command, Refused):
            crew.keeper.logbook.write(command.answer(crew.job.step))
            return None
        answer = self._answer(command, crew)
        done = ev.Commanded(step=crew.job.step, id=command.id, verb=command.verb, ok=answer.ok, detail=answer.detail)
        crew.keeper.logbook.write(done)
        return answer.end

    def _answer(self, command: Command, crew: Crew) -> Answer:
        match command.verb:
            case "pause" if command.args.get("release"):
                return self._release(crew)
            case "pause" | "continue" if (command.verb == "pause") != self.paused:
                self._pause(crew) if command.verb == "pause" else self._continue(crew)
                return Answer()
            case "pause" | "continue":
                return Answer(False, "it is paused already" if self.paused else "it is not paused")
            case "checkpoint":
                crew.keeper.save_last(crew.job, "asked")
                return Answer()
            case "stop":
                return _stop(command)
            case "edit":
                return _edit(command.args.get("path", ""), command.args.get("value", ""), crew)
            case "snooze":
                return _snooze(command.args.get("flag", ""), command.args.get("epochs", "5"), crew)
            case "remedy":
                return self._remedy(command.args, crew)
            case "rollback":
                return _rollback(crew)
        return Answer(False, f"unknown command {command.verb!r}")

    def _pause(self, crew: Crew) -> None:
        self.paused = True
        crew.keeper.logbook.write(ev.Paused(step=crew.job.step))

    def _release(self, crew: Crew) -> Answer:
        """Once all is on the disk, the training may leave the device."""
        if place().size > 1:
            return Answer(False, "a run of several processes keeps its devices; `cockpit stop` and `resume` give them back")
        with crew.job.settled():
            if not crew.keeper.save_last(crew.job, "released"):
                return Answer(False, "the checkpoint could not be written, so the device is not given back")
        self.paused = True
        crew.keeper.logbook.write(ev.Paused(step=crew.job.step, released=True))
        return Answer(end=End("released"))

    def unheard(self) -> list[Command]:
        """What came too late to be obeyed."""
        return [command for command in self._waiting if isinstance(command, Command)]

    def _continue(self, crew: Crew) -> None:
        self.paused = False
        crew.keeper.logbook.write(ev.Continued(step=crew.job.step))

    def _evaluated(self, keeper: Keeper) -> bool:
        """Whether there was an evaluation since the last call: the time to see whether a remedy helped."""
        before, self._evaluations = self._evaluations, len(keeper.logbook.history.evaluations)
        return self._evaluations != before

    def _heed(self, risen: list[ev.Flagged], crew: Crew) -> End | None:
        """What findings that rose ask for: a remedy unasked, or else a pause."""
        acted, end = self._treat(crew) if self.auto else (False, None)
        if acted:
            return end
        log, flags = crew.keeper.logbook, crew.job.recipe.flags
        for found in risen:
            flag = flags.get(found.id)
            wanted = flag is not None and flag.then == "pause" and found.severity in SERIOUS
            if wanted and not snoozed(log.history, found.id) and not self.paused:
                why = f"paused by flags.{found.id}.then{until(log.run)}: {found.headline}"
                log.write(ev.Noted(step=crew.job.step, text=why))
                self._pause(crew)
        return None

    def _treat(self, crew: Crew, *, fallen: bool = False) -> tuple[bool, End | None]:
        """Apply the next remedy unasked, if there is one: whether one was applied, and how the run must end for it.

        `fallen`: the weights are lost, and only another beginning helps.
        """
        log = crew.keeper.logbook
        while self.auto and (act := next_act(log.history, self.earlier, self._refused)):
            if fallen and act.remedy.since == "now":
                act = Act(act.finding, replace(act.remedy, since="before"))
            crew.recorder.restart_clock()
            if act.remedy.verb != "stop":
                answer = self._apply(act, "auto", crew)
                if answer.ok:
                    return True, answer.end
                log.write(ev.Noted(step=crew.job.step, text=f"not applied: {act.remedy.label}: {answer.detail}"))
            elif not fallen:
                crew.job.keep_best = True
                _say_stopped(act, "auto", crew)
                return True, End("stopped", f"remedy: {act.remedy.label}")
            self._refused.add(key(act.finding.id, act.remedy))
        return False, None

    def _remedy(self, args: dict[str, str], crew: Crew) -> Answer:
        finding = crew.keeper.logbook.history.active.get(args.get("flag", ""))
        number = args.get("number", "1")
        if finding is None:
            return Answer(False, f"no finding of {args.get('flag', '')[:60]!r} stands")
        if not number.isdecimal() or len(number) > 6 or not 1 <= int(number) <= len(finding.remedies):
            return Answer(False, f"{finding.id} has {len(finding.remedies)} remedies; {number[:20]!r} is none of them")
        act, by = Act(finding, finding.remedies[int(number) - 1]), args.get("by", "user")
        if by != "user":  # what is applied unasked is not sent
            return Answer(False, f"by: expected user, got {by[:20]!r}")
        if act.remedy.verb == "stop":
            _say_stopped(act, by, crew)
            return Answer(end=End("stopped", "on request"))
        return self._apply(act, by, crew)

    def _apply(self, act: Act, by: str, crew: Crew) -> Answer:
        from cockpit.engine.remedy import RefusedError, apply

        try:
            run = apply(act, by, *crew)
        except (RefusedError, RecipeError, RunError, ValueError) as error:
            return Answer(False, str(error))
        if run is None:
            return Answer()
        self.successor = run
        return Answer(detail=run.id, end=End("stopped", f"remedy: {act.remedy.label}, goes on as run {run.id}"))


def _stop(command: Command) -> Answer:
    state = command.args.get("state", "stopped")
    if state not in ("stopped", "interrupted"):
        return Answer(False, f"state: expected stopped or interrupted, got {state[:20]!r}")
    return Answer(end=End(state, command.reason or "on request"))


def _say_stopped(act: Act, by: str, crew: Crew) -> None:
    done = ev.Remedied(step=crew.job.step, id=act.finding.id, label=act.remedy.label, edits=act.remedy.edits, by=by)
    crew.keeper.logbook.write(done)


def _snooze(flag: str, epochs: str, crew: Crew) -> Answer:
    if flag not in crew.job.recipe.flags:
        return Answer(False, f"{flag[:60]!r} is no flag of this run")
    if not epochs.isdecimal() or len(epochs) > 6 or not 0 < int(epochs) <= 100_000:
        return Answer(False, f"expected a number of epochs, got {epochs[:20]!r}")
    until = crew.job.step + int(epochs) * crew.job.steps_per_epoch
    crew.keeper.logbook.write(ev.Snoozed(step=crew.job.step, id=flag, until=until))
    return Answer()


def _rollback(crew: Crew) -> Answer:
    from cockpit.engine.remedy import RefusedError, go_back

    try:
        go_back(*crew, before=crew.job.step)
    except RefusedError as error:
        return Answer(False, str(error))
    return Answer(detail=f"at step {crew.job.step:,}")


def _edit(path: str, value: str, crew: Crew) -> Answer:
    """Apply an edit if all of it may change between two steps; else it waits for the next run."""
    from cockpit.engine.remedy import change_live

    job, log = crew.job, crew.keeper.logbook
    try:
        new = edit(job.recipe, path, value)
        found = changes(job.recipe, new)
        live = all(change.live for change in found)
        if live and found:
            change_live(job, crew.keeper, new)
    except (RecipeError, ValueError) as error:
        return Answer(False, str(error))
    if not live:
        for change in found:
            log.write(ev.Edited(step=job.step, path=change.path, old=change.old, new=change.new, live=False))
    if not found:  # it may take back an edit that waits for the next run, and the recipe alone does not tell
        log.write(ev.Edited(step=job.step, path=path, old=value, new=value, live=False))
    return Answer(detail="" if live else "it waits for the next run")
