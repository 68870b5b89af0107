"""Whether the remedies cure: the first of the first right finding, else the second, on the recipe, from the start."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cockpit.runs.directory import RunDir
from cockpit.runs.events import Remedy
from cockpit.runs.history import read_history
from diagnosing.record import CARD, Job, record
from diagnosing.verdicts import Verdict

CHANCES = 2
"""Remedies that are tried."""
NEAR = 1.02
"""A run that was to be stopped in time keeps weights whose validation loss is within this factor of its least."""


@dataclass(frozen=True)
class Try:
    """One remedy on one run."""

    label: str
    job: Job
    accuracy: float
    cured: bool
    state: str


def cure(seen: Sequence[Verdict], out: Path, file: Path, jobs: int) -> tuple[dict[str, Any], str]:
    """Try the remedies of every sick run that a recipe can cure; the figures, and a page of them."""
    curable = [run for run in seen if run.health == "sick" and run.card.kind == "recipe" and run.spec.repaired_by == "recipe"]
    apart = [run for run in seen if run.health == "sick" and run not in curable]
    tries: dict[int, list[Try]] = {number: [] for number in range(len(curable))}
    for chance in range(CHANCES):
        left = [number for number, done in tries.items() if not any(each.cured for each in done)]
        chosen = {number: curable[number].remedies[chance] for number in left if len(curable[number].remedies) > chance}
        work = {number: _job(curable[number], remedy, out, file) for number, remedy in chosen.items()}
        for card in record({job.name: job for job in work.values() if job.edits}.values(), jobs):
            print(f"{card.case} {card.seed}: {card.accuracy:.3f}, {card.state}, {dict(card.edits)}", flush=True)
        for number, job in work.items():
            tries[number].append(_tried(curable[number], chosen[number], job))
    return _figures(curable, tries, apart), _page(curable, tries, apart)


def _job(run: Verdict, remedy: Remedy, out: Path, file: Path) -> Job:
    key = hashlib.sha256(json.dumps(remedy.edits).encode()).hexdigest()[:8]
    return Job(run.card.case, file, run.card.seed, out, f"{run.card.case}_{run.card.seed}_{key}", remedy.edits)


def _tried(run: Verdict, remedy: Remedy, job: Job) -> Try:
    if not job.edits:
        return Try(remedy.label, job, run.card.accuracy, False, f"no edit: {remedy.verb or 'advice'}")
    card = json.loads((job.path / CARD).read_text(encoding="utf-8"))
    bound = run.spec.bound
    accuracy = float(card["accuracy"])
    reached = accuracy >= bound if bound is not None else _stopped_in_time(job.path)
    return Try(remedy.label, job, accuracy, reached and card["state"] == "finished", card["state"])


def _stopped_in_time(path: Path) -> bool:
    """The weights that the run ends with are near its least validation loss."""
    history = read_history(RunDir(path))
    if not history.evaluations or history.ended is None:
        return False
    kept = history.best if history.ended.kept == "best" and history.best else history.evaluations[-1]
    return kept.val_loss <= NEAR * min(each.val_loss for each in history.evaluations)


def _figures(curable: Sequence[Verdict], tries: dict[int, list[Try]], apart: Sequence[Verdict]) -> dict[str, Any]:
    cured = {number: next((place for place, each in enumerate(done) if each.cured), None) for number, done in tries.items()}
    named = [number for number, run in enumerate(curable) if run.right]
    return {
        "curable": len(curable),
        "named": len(named),
        "cured": sum(place is not None for place in cured.values()),
        "cured_by_the_first": sum(place == 0 for place in cured.values()),
        "apart": len(apart),
        "tries": [
            {"case": run.card.case, "seed": run.card.seed, "finding": run.right.id if run.right else None}
            | {
                "tries": [
                    {"remedy": each.label, "edits": dict(each.job.edits), "accuracy": each.accuracy} for each in tries[number]
                ]
            }
            | {"cured": cured[number] is not None}
            for number, run in enumerate(curable)
        ],
    }


def _page(curable: Sequence[Verdict], tries: dict[int, list[Try]], apart: Sequence[Verdict]) -> str:
    sums = _figures(curable, tries, apart)
    text = [
        f"Cured: {sums['cured']} of {sums['named']} that were named ({sums['curable']} sick runs a recipe can cure), "
        f"{sums['cured_by_the_first']} of them by the first remedy. {sums['apart']} sick runs are left out: their repair is in "
        "the loop, or there is none.\n",
        "| case | seed | finding | remedy: accuracy | bound | cured |",
        "|---|---|---|---|---|---|",
    ]
    for number, run in enumerate(curable):
        told = "; ".join(f"{each.label}: {each.accuracy:.3f}{_state(each)}" for each in tries[number])
        cured = "yes" if any(each.cured for each in tries[number]) else "no"
        finding = run.right.id if run.right else ""
        text.append(f"| {run.card.case} | {run.card.seed} | {finding} | {told} | {run.spec.bound or ''} | {cured} |")
    return "\n".join(text)


def _state(tried: Try) -> str:
    return "" if tried.state == "finished" else f" ({tried.state})"
