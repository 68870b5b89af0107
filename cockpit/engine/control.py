"""Commands from outside, obeyed between two steps. Importing it needs no torch, so that a host can listen while torch loads."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from cockpit.recipe import RecipeError, changes, edit
from cockpit.runs import events as ev
from cockpit.runs.mailbox import Command

if TYPE_CHECKING:
    from cockpit.engine.keeper import Keeper
    from cockpit.engine.recorder import Recorder
    from cockpit.engine.training import Training
    from cockpit.recipe import Change


class Control:
    """`post` is called by the host's main thread, `obey` by the training thread."""

    def __init__(self) -> None:
        self._waiting: deque[Command] = deque()
        self._bell = threading.Event()
        self.paused = False

    def post(self, command: Command) -> None:
        """Hand in a command; it is obeyed after the step that is under way."""
        self._waiting.append(command)
        self._bell.set()

    def obey(self, job: Training, recorder: Recorder, keeper: Keeper) -> str:
        """Obey what waits. Returns the state in which the run must end, or nothing."""
        if not self._waiting:
            return ""
        end = ""
        while not end and (self._waiting or self.paused):
            self._bell.wait()
            self._bell.clear()
            while self._waiting and not end:
                end = self._one(self._waiting.popleft(), job, recorder, keeper)
        recorder.restart_clock()
        return end

    def _one(self, command: Command, job: Training, recorder: Recorder, keeper: Keeper) -> str:
        recorder.flush()
        detail, ok, end = "", True, ""
        log = keeper.logbook
        match command.verb:
            case "pause" | "continue" if (command.verb == "pause") != self.paused:
                self.paused = not self.paused
                log.write((ev.Paused if self.paused else ev.Continued)(step=job.step))
            case "pause" | "continue":
                ok, detail = False, "it is paused already" if self.paused else "it is not paused"
            case "checkpoint":
                keeper.save_last(job, "asked")
            case "stop":
                end = command.args.get("state", "stopped")
            case "edit":
                ok, detail = self._edit(command, job, keeper)
        log.write(ev.Commanded(step=job.step, id=command.id, verb=command.verb, ok=ok, detail=detail))
        return end

    @staticmethod
    def _edit(command: Command, job: Training, keeper: Keeper) -> tuple[bool, str]:
        """Apply an edit if all of it may change between two steps; else it waits for the next run."""
        try:
            path, value = command.args.get("path", ""), command.args.get("value", "")
            new = edit(job.recipe, path, value)
            found = changes(job.recipe, new)
            live = all(change.live for change in found)
            if live and found:
                job.rewire(new)
        except (RecipeError, ValueError) as error:
            return False, str(error)
        for change in found:
            keeper.logbook.write(_edited(job.step, change, live))
        if not found:  # it may take back an edit that waits for the next run, and the recipe alone does not tell
            keeper.logbook.write(ev.Edited(step=job.step, path=path, old=value, new=value, live=False))
        return True, "" if live else "it waits for the next run"


def _edited(step: int, change: Change, live: bool) -> ev.Edited:
    return ev.Edited(step=step, path=change.path, old=change.old, new=change.new, live=live)
