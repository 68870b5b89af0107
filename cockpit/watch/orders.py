"""Commands to a watched loop, obeyed between two of its steps."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from torch.optim import Optimizer

from cockpit.runs import events as ev
from cockpit.runs.mailbox import Command, Refused

if TYPE_CHECKING:
    from cockpit.engine.logbook import Logbook
    from cockpit.watch.desk import Desk

EDITABLE = {"optimizer.lr": "lr", "optimizer.weight_decay": "weight_decay"}


class Orders:
    """Obeys in the loop's own thread."""

    def __init__(self, desk: Desk, log: Logbook, optimizer: Optimizer, flags: Collection[str]) -> None:
        self._desk = desk
        self._log = log
        self._optimizer = optimizer
        self._flags = flags
        self.paused = False
        self.stop_asked = False
        self.stop_state = "stopped"
        """How a run that was asked to stop is said to have ended."""

    def obey(self, step: int) -> None:
        """Obey what waits; while the loop is paused, wait for more."""
        while self._desk.waiting or (self.paused and not self.stop_asked and not self._desk.gone):
            self._desk.bell.wait(1.0)
            self._desk.bell.clear()
            while self._desk.waiting:
                self._one(self._desk.waiting.popleft(), step)

    def _one(self, command: Command | Refused, step: int) -> None:
        """Obey a command and answer it, or write down why a file was none."""
        if isinstance(command, Refused):
            self._log.write(command.answer(step))
            return
        try:
            refusal = self._refusal(command.verb, command.args, step)
        except Exception as error:
            refusal = f"it failed: {type(error).__name__}: {str(error)[:200]}"
        self._log.write(ev.Commanded(step=step, id=command.id, verb=command.verb, ok=not refusal, detail=refusal))

    def _refusal(self, verb: str, args: dict[str, str], step: int) -> str:
        """Obey; why not, where that cannot be."""
        match verb:
            case "pause" | "continue":
                return self._pause(verb == "pause", step)
            case "stop":
                return self._stop(args.get("state", "stopped"))
            case "edit":
                return self._edit(args.get("path", ""), args.get("value", ""), step)
            case "snooze":
                return self._snooze(args, step)
            case "remedy":
                return self._remedy(args, step)
            case "checkpoint" | "rollback":
                return f"a loop of your own cannot {verb} on request"
        return f"unknown command {verb[:40]!r}"

    def _stop(self, state: str) -> str:
        if state not in ("stopped", "interrupted"):
            return f"state: expected stopped or interrupted, got {state[:20]!r}"
        self.stop_asked, self.stop_state, self.paused = True, state, False
        return ""

    def _remedy(self, args: dict[str, str], step: int) -> str:
        """Apply what can be done to a loop that goes on; the rest is the script's."""
        finding, number = self._log.history.active.get(args.get("flag", "")), args.get("number", "1")
        if finding is None or not number.isdecimal() or len(number) > 6 or not 1 <= int(number) <= len(finding.remedies):
            return "no such remedy stands"
        if args.get("by", "user") != "user":  # nothing is applied here unasked
            return f"by: expected user, got {args['by'][:20]!r}"
        remedy = finding.remedies[int(number) - 1]
        if remedy.verb == "stop":
            self._stop("stopped")
        elif not remedy.edits or remedy.since != "now" or any(path not in EDITABLE for path, _ in remedy.edits):
            return "this is for your script to change, and to start again from before the illness"
        for path, value in remedy.edits:
            if refusal := self._edit(path, value, step):
                return refusal
        self._log.write(ev.Remedied(step=step, id=finding.id, label=remedy.label, edits=remedy.edits, by="user"))
        return ""

    def _pause(self, wanted: bool, step: int) -> str:
        if wanted == self.paused:
            return "it is paused already" if wanted else "it is not paused"
        self.paused = wanted
        self._desk.state = "paused" if wanted else "running"
        self._log.write((ev.Paused if wanted else ev.Continued)(step=step))
        return ""

    def _edit(self, path: str, said: str, step: int) -> str:
        """Change the optimizer's groups; those with a value of their own keep their ratio to the first."""
        key = EDITABLE.get(path)
        if key is None:
            return f"in a loop of your own only {' and '.join(EDITABLE)} can be changed while it runs"
        groups = self._optimizer.param_groups
        if key not in groups[0]:
            return f"this optimizer has no {key}"
        try:
            new = float(said)
        except ValueError:
            new = math.nan
        if not (math.isfinite(new) and new >= 0):
            return f"{path}: expected a number from 0, got {said[:40]!r}"
        old = float(groups[0][key])
        values = [new * float(group[key]) / old if old else new for group in groups]
        if not all(map(math.isfinite, values)):
            return f"{path}: {said[:40]} is too much for groups with values of their own"
        for group, value in zip(groups, values, strict=True):
            group[key] = group[key].fill_(value) if hasattr(group[key], "fill_") else value
        self._log.write(ev.Edited(step=step, path=path, old=f"{old:g}", new=f"{new:g}", live=True))
        return ""

    def _snooze(self, args: dict[str, str], step: int) -> str:
        flag, epochs, started = args.get("flag", ""), args.get("epochs", "5"), self._log.history.started
        if flag not in self._flags:
            return f"{flag[:60]!r} is no flag of this run"
        if not epochs.isdecimal() or len(epochs) > 6 or not 0 < int(epochs) <= 100_000:
            return f"expected a number of epochs, got {epochs[:20]!r}"
        until = step + int(epochs) * (started.steps_per_epoch if started else 1)
        self._log.write(ev.Snoozed(step=step, id=flag, until=until))
        return ""
