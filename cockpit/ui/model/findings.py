"""The flags pane: what stands, what the user has put aside, what cleared, what was done about it, and the ways out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cockpit.cards import Card
from cockpit.judge import BLOCK
from cockpit.runs.calendar import Calendar
from cockpit.runs.events import Flagged, Remedied, Remedy
from cockpit.runs.history import History
from cockpit.runs.remedies import applied, silenced, snoozed
from cockpit.ui.format import epochs
from cockpit.ui.model.ways import Way, refuge_of
from cockpit.ui.model.words import SEVERITIES, Word, clean, evidence

RANK = {"critical": 0, "warning": 1, "info": 2}
SILENCED = "silenced"
HOW = {"live": "live", "rollback": "back at the healthy checkpoint of that step", "fork": "in a new run"}


@dataclass(frozen=True)
class Finding:
    """One flag that rose, or one that is told of because of what was done about it."""

    id: str
    severity: Word
    epoch: str = ""
    headline: str = ""
    why: str = ""
    evidence: tuple[tuple[str, str], ...] = ()
    remedies: tuple[Remedy, ...] = ()
    ways: tuple[Way, ...] = ()
    """How each remedy would be applied."""
    applied: tuple[str, ...] = ()
    """When each remedy was applied already; empty words for those that were not."""
    refuge: str = ""
    """The checkpoint to which a remedy would go back."""
    cleared: str = ""
    """When it cleared; empty while it stands."""
    aside: str = ""
    """Why it does not count though it stands: snoozed, or silenced."""
    done: tuple[str, ...] = ()
    """Remedies that were applied to it."""
    pauses: bool = False
    """Its flag pauses the run when it rises."""

    @property
    def counts(self) -> bool:
        """It stands and the user wants to hear of it."""
        return not self.cleared and not self.aside


Ways = Callable[[Remedy, bool], Way]
"""How a remedy would be applied, where there is a healthy checkpoint to go back to and where there is none."""


def findings(history: History, way: Ways = lambda *_: Way.UNKNOWN) -> tuple[Finding, ...]:
    """Those that stand, worst first, then those put aside, then those that cleared or were cured."""
    done: dict[str, list[Remedied]] = {}
    for remedied in history.remedied:
        done.setdefault(remedied.id, []).append(remedied)
    aside = {flag: word for flag in history.active if (word := set_aside(history, flag))}
    standing = sorted(history.active.values(), key=lambda found: (found.id in aside, RANK.get(found.severity, 3), found.step))
    listed = [_standing(found, history, way, aside.get(found.id, "")) for found in standing]
    listed += [_gone(found, step, history) for found, step in _cleared(history)]
    names = {found.id for found in listed}
    # A run that went back to before the illness has forgotten the finding, not what was done.
    listed += [Finding(flag, SEVERITIES["info"], cleared="remedied") for flag in map(clean, done) if flag not in names]
    return tuple(
        replace(found, done=tuple(map(told, done.get(found.id, ()))), pauses=pauses(history, found.id)) for found in listed
    )


def set_aside(history: History, flag: str) -> str:
    """Why a finding does not count now; empty where it does."""
    if silenced(history, flag):
        return SILENCED
    return f"snoozed until epoch {epochs(_epoch(history, history.snoozed[flag]))}" if snoozed(history, flag) else ""


def pauses(history: History, flag: str) -> bool:
    """Whether the run pauses when a flag rises to a warning: by a live edit, else by its recipe."""
    said = [edit.new for edit in history.edits if edit.path == f"flags.{flag}.then"]
    node: Any = history.recipe.get("flags")
    for key in (flag, "then"):
        node = node.get(key) if isinstance(node, dict) else None
    return (said[-1] if said else node) == "pause"


def _epoch(history: History, step: int) -> float:
    if history.started is None:
        return 0.0
    lengths = history.started.epoch_lengths
    return Calendar(lengths).epoch(step) if lengths else step / max(1, history.started.steps_per_epoch)


def _cleared(history: History) -> list[tuple[Flagged, int]]:
    """The last rise and the step at which it cleared, of the flags that do not stand."""
    rises: dict[str, Flagged] = {}
    gone: dict[str, tuple[Flagged, int]] = {}
    for event in history.findings:
        if isinstance(event, Flagged):
            rises[event.id] = event
            gone.pop(event.id, None)
        elif event.id in rises:
            gone[event.id] = (rises[event.id], event.step)
    return [found for flag, found in gone.items() if flag not in history.active]


def _standing(found: Flagged, history: History, way: Ways, aside: str) -> Finding:
    refuge = refuge_of(history, found)
    return replace(
        _finding(found),
        aside=aside,
        remedies=found.remedies,
        ways=tuple(way(remedy, refuge is not None) for remedy in found.remedies),
        applied=tuple(_applied(history, found, remedy) for remedy in found.remedies),
        refuge=f"step {refuge.step:,} (epoch {epochs(_epoch(history, refuge.step))})" if refuge else "",
    )


def _gone(found: Flagged, step: int, history: History) -> Finding:
    """One that does not stand: it cleared, or nobody looks any more."""
    if silenced(history, found.id):
        return replace(_finding(found), aside=SILENCED)
    word = SILENCED if silenced(history, found.id, step) else "cleared"
    return replace(_finding(found), cleared=f"{word} at step {step:,}")


def _applied(history: History, found: Flagged, remedy: Remedy) -> str:
    done = applied(history, found.id, remedy)
    return f"applied at step {done.step:,}" if done else ""


def _finding(found: Flagged) -> Finding:
    return Finding(
        id=clean(found.id),
        severity=SEVERITIES.get(found.severity, SEVERITIES["info"]),
        epoch=f"epoch {epochs(found.epoch)}",
        headline=clean(found.headline),
        why=clean(found.why),
        evidence=_since(found) + tuple((clean(key).replace("_", " "), evidence(item)) for key, item in found.evidence.items()),
    )


def told(done: Remedied) -> str:
    """What was done, when, and how."""
    return f"remedied at step {done.step:,}: {clean(done.label)}, {_how(done)}"


def _how(done: Remedied) -> str:
    how = HOW.get(done.how, clean(done.how)) + (f" ({clean(done.run)})" if done.run else "")
    return f"{how}, by --auto-remedy" if done.by == "auto" else how


def habits(card: Card) -> str:
    """When a flag looks, when it rises and clears, and what silences it."""
    flag: Any = card.cls
    moment = {"start": "before the first step", "rows": f"every {BLOCK} steps", "evaluation": "after each evaluation"}[
        flag.moment
    ]
    rises = (
        "at the first sign"
        if flag.needed == 1
        else f"when {flag.needed} of its last {flag.of_last} looks see it, or one is proof"
    )
    clears = f"Clears after {flag.quiet} looks that see less" if flag.quiet else "Never clears"
    causes = f" Silent while {' or '.join(flag.causes)} stands, which would explain it." if flag.causes else ""
    return f"Looks {moment}. Rises {rises}. {clears}.{causes}"


def _since(found: Flagged) -> tuple[tuple[str, str], ...]:
    """When the first of the looks that led to it saw something, where that was earlier."""
    return (("since step", f"{found.since:,}"),) if 0 < found.since < found.step else ()


def orders(remedy: Remedy, way: Way) -> tuple[str, ...]:
    """What a remedy will do, one line each."""
    if way is Way.COMMAND:
        return (f"{clean(remedy.verb)} the run",)
    return tuple(f"set {clean(path)} to {clean(value)}" for path, value in remedy.edits)
