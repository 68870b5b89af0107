"""What today's flags say of the recorded runs, beside the truth."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.runs.directory import RunDir
from cockpit.runs.events import Flagged, Remedy
from cockpit.runs.history import History, read_history
from diagnosing.cases import Case
from diagnosing.record import Card

LOUD = ("warning", "critical")


@dataclass(frozen=True)
class Verdict:
    """One run: the truth, and what was found."""

    card: Card
    spec: Case
    findings: tuple[Flagged, ...] = field(repr=False)
    """Every rise, in order."""
    probing: float
    """Share of the training time spent on measuring and judging."""
    sampled: float
    """Share of the steps whose gradients were measured."""

    @property
    def health(self) -> str:
        """sick, healthy or unscored, by outcome where the case says so."""
        return self.spec.health(self.card.accuracy)

    @property
    def loud(self) -> tuple[Flagged, ...]:
        """Findings at warning or above."""
        return tuple(found for found in self.findings if found.severity in LOUD)

    @property
    def right(self) -> Flagged | None:
        """The first loud finding that names the illness, of a sick run."""
        return next((found for found in self.loud if found.id in self.spec.expected), None) if self.health == "sick" else None

    @property
    def detected(self) -> bool:
        """Anything loud rose."""
        return bool(self.loud)

    @property
    def false_alarms(self) -> tuple[str, ...]:
        """Loud findings of a run that must be silent."""
        silent = self.health == "healthy" or (self.spec.spec["health"] == "sick" and not self.spec.expected)
        return _names(self.loud) if silent else ()

    @property
    def astray(self) -> tuple[str, ...]:
        """Loud findings of a sick run that its case neither expects nor allows beside."""
        allowed = {*self.spec.expected, *self.spec.spec.get("also", ())}
        return tuple(name for name in _names(self.loud) if name not in allowed) if self.health == "sick" else ()

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """Those of the first right finding, best first."""
        return self.right.remedies if self.right else ()


Work = tuple[Card, Path, Case]
"""A recorded run: its card, its folder, its case."""


def verdicts(work: Iterable[Work], only: frozenset[str] = frozenset(), jobs: int = 2) -> list[Verdict]:
    """Replay the flags, or only those named, over recorded runs."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        return list(pool.map(partial(_judged, only=only), work, chunksize=4))


def _judged(work: Work, only: frozenset[str]) -> Verdict:
    card, path, case = work
    history = read_history(RunDir(path))
    chosen = [each.cls() for name, each in flags().items() if not only or name in only]
    found = [each for each in replay(history, chosen) if isinstance(each, Flagged)] if history.started else []
    return Verdict(card, case, tuple(found), _probing(history), _sampled(history))


def _probing(history: History) -> float:
    steps = history.steps
    return float(np.nansum(steps["probing"]) / steps["time"][-1]) if len(steps) else float("nan")


def _sampled(history: History) -> float:
    return float(np.isfinite(history.steps["grad_norm"]).mean()) if len(history.steps) else float("nan")


def _names(findings: Iterable[Flagged]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found.id for found in findings))


def lines(verdict: Verdict) -> Iterator[str]:
    """Every finding of one run, for whoever calibrates."""
    for found in verdict.findings:
        yield f"    {found.step:>6} {found.epoch:6.2f} {found.severity:8} {found.id}: {found.headline}"
