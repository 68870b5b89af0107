"""What a flag is: a pure rule over the history of a run, and the sign it may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from cockpit.cards import Card, Kind, knob

if TYPE_CHECKING:
    from cockpit.runs.events import Remedy
    from cockpit.runs.history import History

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
Moment = Literal["start", "rows", "evaluation"]


@dataclass(frozen=True)
class Sign:
    """What a rule sees at one look."""

    severity: Severity
    headline: str
    """One line with the number that matters."""
    why: str
    """Why it matters, one sentence."""
    evidence: Mapping[str, float | str] = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()
    """Best first."""
    conclusive: bool = False
    """One look is proof: the flag rises without waiting for others."""


@dataclass(frozen=True)
class Flag:
    """Base of every flag. `look` must read nothing but the history, so that live, attached and replayed agree."""

    kind: ClassVar[Kind] = "flag"
    family: ClassVar[str] = "flag"
    card: ClassVar[Card]

    moment: ClassVar[Moment] = "evaluation"
    """When it looks: once before the first step, at fixed steps, or after each evaluation."""
    at_start: ClassVar[bool] = False
    """A flag of another moment that also looks once before the first step."""
    needed: ClassVar[int] = 3
    """It rises when so many ..."""
    of_last: ClassVar[int] = 4
    """... of so many looks saw a sign,"""
    quiet: ClassVar[int] = 8
    """and clears after so many looks in a row that saw less than what is raised. 0: it never clears."""
    causes: ClassVar[tuple[str, ...]] = ()
    """Flags that explain this one: while one of them holds at warning or above, this one does not look."""

    then: Literal["note", "pause"] = knob("note", help="what the run does when it rises to a warning: goes on, or pauses")

    def look(self, history: History) -> Sign | None:
        """The sign of the illness in the history so far, or None. Cheap: it reads windows, never every row."""
        raise NotImplementedError
