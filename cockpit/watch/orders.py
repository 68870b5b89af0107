"""Commands to a watched loop, obeyed between two of its steps."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from torch.optim import Optimizer

from cockpit.runs import events as ev
from cockpit.runs.mailbox import Command

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

    def obey(self, step: int) -> None:
        """Obey what waits; while the loop is paused, wait for more."""
        while self._desk.waiting or (self.paused and not self.stop_asked):
            self._desk.bell.wait(1.0)
            self._desk.bell.clear()
            while self._desk.waiting:
                self._one(self._desk.waiting.popleft(), step)

    def _one(self, command: Command, step: int) -> None:
        verb, refusal = command.verb, ""
        if verb in ("pause", "continue"):
            refusal = self._pause(verb == "pause", step)
        elif verb == "stop":
            self.stop_asked, self.paused = True, False
        elif verb == "edit":
            refusal = self._edit(command.args.get("path", ""), command.args.get("value", ""), step)
        elif verb == "snooze":
            refusal = self._snooze(command.args, step)
        elif verb == "remedy":
            refusal = self._remedy(command.args, step)
        else:
            refusal = f"a loop of your own cannot {verb} on request"
        self._log.write(ev.Commanded(step=step, id=command.id, verb=verb, ok=not refusal, detail=refusal))

    def _remedy(self, args: dict[str, str], step: int) -> str:
        """Apply what can be done to a loop that goes on; the rest is the script's."""
        finding, number = self._log.history.active.get(args.get("flag", "")), args.get("number", "1")
        if finding is None or not number.isdecimal() or not 1 <= int(number) <= len(finding.remedies):
            return "no such remedy stands"
        remedy = finding.remedies[int(number) - 1]
        if remedy.verb == "stop":
            self.stop_asked, self.paused = True, False
        elif not remedy.edits or remedy.since != "now" or any(path not in EDITABLE for path, _ in remedy.edits):
            return "this is for your script to change, and to start again from before the illness"
        for path, value in remedy.edits:
            if refusal := self._edit(path, value, step):
                return refusal
        by = args.get("by", "user")
        self._log.write(ev.Remedied(step=step, id=finding.id, label=remedy.label, edits=remedy.edits, by=by))
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
        for group in groups:
            value = new * float(group[key]) / old if old else new
            group[key] = group[key].fill_(value) if hasattr(group[key], "fill_") else value
        self._log.write(ev.Edited(step=step, path=path, old=f"{old:g}", new=f"{new:g}", live=True))
        return ""

    def _snooze(self, args: dict[str, str], step: int) -> str:
        flag, epochs, started = args.get("flag", ""), args.get("epochs", "5"), self._log.history.started
        if flag not in self._flags:
            return f"{flag[:60]!r} is no flag of this run"
        if not epochs.isdecimal() or not 0 < int(epochs) <= 100_000:
            return f"expected a number of epochs, got {epochs[:20]!r}"
        until = step + int(epochs) * (started.steps_per_epoch if started else 1)
        self._log.write(ev.Snoozed(step=step, id=flag, until=until))
        return ""
