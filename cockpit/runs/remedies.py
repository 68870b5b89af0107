"""Which way a remedy takes into a run, and which remedy comes next where nobody is asked. A function of what is recorded."""

import math
from collections.abc import Collection
from typing import Literal, NamedTuple

from cockpit.runs.events import Flagged, Remedied, Remedy
from cockpit.runs.history import History

Way = Literal["live", "rollback", "fork"]
Tried = tuple[str, tuple[str, ...]]
"""A flag, and the paths that a remedy of it edits: a rate lowered once is not lowered again."""

ACTS = 3
"""Remedies that are applied unasked in a run and in those it goes on from."""
WAIT = 3
"""Evaluations that a remedy is given before the next one."""
SERIOUS = ("warning", "critical")
OFF = ("off", "false", "no", "null")
"""What an edit says that switches a flag off."""


class Act(NamedTuple):
    """A remedy and the finding it answers."""

    finding: Flagged
    remedy: Remedy


def way(remedy: Remedy, recipe_changes_live: bool, has_checkpoint: bool) -> Way:
    """At once, from a healthy checkpoint before the illness, or in a new run."""
    if remedy.since == "start" or not recipe_changes_live:
        return "fork"
    if remedy.since == "now":
        return "live"
    return "rollback" if has_checkpoint else "fork"


def serious(history: History) -> list[Flagged]:
    """The findings at warning or above that stand and are not snoozed: worst first, then oldest first."""
    standing = [found for found in history.active.values() if found.severity in SERIOUS and not snoozed(history, found.id)]
    return sorted(standing, key=lambda found: (-SERIOUS.index(found.severity), found.step))


def snoozed(history: History, flag: str) -> bool:
    """Whether the user does not want to hear of a flag now."""
    return history.step < history.snoozed.get(flag, 0)


def next_act(history: History, earlier: Collection[Tried] = (), refused: Collection[Tried] = ()) -> Act | None:
    """What to apply unasked, if anything. `earlier`: done unasked in the runs this one goes on from; `refused`: impossible."""
    done = [act for act in history.remedied if act.by == "auto"]
    if len(earlier) + len(done) >= ACTS:
        return None
    tried = {*earlier, *refused, *(tried_by(act) for act in history.remedied)}
    for finding in serious(history):
        if not _in_treatment(finding, history):
            for remedy in finding.remedies:
                if (remedy.edits or remedy.verb == "stop") and key(finding.id, remedy) not in tried:
                    return Act(finding, remedy)
    return None


def applied(history: History, flag: str, remedy: Remedy) -> Remedied | None:
    """The last time that exactly this was done about a flag, if it was."""
    same = (act for act in reversed(history.remedied) if act.id == flag and act.edits == remedy.edits)
    return next((act for act in same if act.edits or act.label == remedy.label), None)


def silenced(history: History, flag: str, step: float = math.inf) -> bool:
    """Whether a flag was switched off when this step was done: a finding then clears because nobody looks any more."""
    said = [edit.new.lower() for edit in history.edits if edit.path == f"flags.{flag}" and edit.step <= step]
    return bool(said) and said[-1] in OFF


def key(flag: str, remedy: Remedy) -> Tried:
    """What makes two remedies the same one."""
    return flag, tuple(path for path, _ in remedy.edits)


def tried_by(act: Remedied) -> Tried:
    """The same of one that was applied."""
    return act.id, tuple(path for path, _ in act.edits)


def _in_treatment(finding: Flagged, history: History) -> bool:
    """Whether something was done since the finding rose, too short a time ago to tell whether it helps."""
    if not history.remedied or history.remedied[-1].step < finding.step:
        return False
    done = history.remedied[-1].step
    return sum(seen.step > done for seen in history.evaluations) < WAIT
