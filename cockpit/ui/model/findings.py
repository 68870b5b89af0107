"""The flags pane: what stands, what cleared, and the ways out."""

from dataclasses import dataclass

from cockpit.runs.events import Flagged, Remedy
from cockpit.runs.history import History
from cockpit.ui.format import epochs
from cockpit.ui.model.words import SEVERITIES, Word, clean, evidence

RANK = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """One flag that rose."""

    id: str
    severity: Word
    epoch: str
    headline: str
    why: str
    evidence: tuple[tuple[str, str], ...]
    remedies: tuple[Remedy, ...]
    cleared: str = ""
    """When it cleared; empty while it stands."""


def findings(history: History) -> tuple[Finding, ...]:
    """Those that stand, worst first, then those that cleared."""
    standing = sorted(history.active.values(), key=lambda found: (RANK.get(found.severity, 3), found.step))
    return tuple(_finding(found) for found in standing) + tuple(_cleared(history))


def _cleared(history: History) -> list[Finding]:
    rises: dict[str, Flagged] = {}
    gone: dict[str, Finding] = {}
    for event in history.findings:
        if isinstance(event, Flagged):
            rises[event.id] = event
            gone.pop(event.id, None)
        elif event.id in rises:
            gone[event.id] = _finding(rises[event.id], f"cleared at step {event.step:,}")
    return [found for flag, found in gone.items() if flag not in history.active]


def _finding(found: Flagged, cleared: str = "") -> Finding:
    return Finding(
        id=clean(found.id),
        severity=SEVERITIES.get(found.severity, SEVERITIES["info"]),
        epoch=f"epoch {epochs(found.epoch)}",
        headline=clean(found.headline),
        why=clean(found.why),
        evidence=tuple((clean(key).replace("_", " "), evidence(item)) for key, item in found.evidence.items()),
        remedies=() if cleared else found.remedies,
        cleared=cleared,
    )


def orders(remedy: Remedy) -> tuple[str, ...]:
    """What a remedy will do, one line each."""
    edits = tuple(f"set {clean(path)} to {clean(value)}" for path, value in remedy.edits)
    return (*edits, f"send the run: {clean(remedy.verb)}") if remedy.verb else edits
