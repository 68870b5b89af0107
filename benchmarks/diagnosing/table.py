"""Figures of many verdicts, as Markdown and as JSON."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from diagnosing.recipes import DEVIATIONS
from diagnosing.verdicts import Verdict

Key = Callable[[Verdict], str]


def rows(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """One row a case: what its seeds were in truth, and what was found in them."""
    yield "| case | part | seeds sick / healthy | named | first right finding (epoch, step) | false alarms | beside |"
    yield "|---|---|---|---|---|---|---|"
    for name, runs in grouped(verdicts, lambda each: each.spec.id):
        sick = [run for run in runs if run.health == "sick"]
        named = [run.right for run in sick if run.right]
        first = "; ".join(f"{each.id} {each.epoch:.2f}, {each.step}" for each in named)
        healthy = sum(run.health == "healthy" for run in runs)
        alarms = _counted(alarm for run in runs for alarm in run.false_alarms)
        beside = _counted(each for run in runs for each in run.astray)
        part = "tuning" if runs[0].spec.tuning else "report"
        told = f"{len(named)}/{len(sick)}" if sick else ""
        yield f"| {name} | {part} | {len(sick)} / {healthy} | {told} | {first} | {alarms} | {beside} |"


def totals(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The figures of a part of the runs."""
    sick = [run for run in verdicts if run.health == "sick"]
    named = [run.right for run in sick if run.right]
    silent = [run for run in verdicts if run.health == "healthy"]
    shares = [run.probing for run in verdicts if math.isfinite(run.probing)]
    return {
        "runs": len(verdicts),
        "sick": len(sick),
        "detected": sum(run.detected for run in sick),
        "named": len(named),
        "healthy": len(silent),
        "healthy_with_alarm": sum(bool(run.false_alarms) for run in silent),
        "unscored": sum(run.health == "unscored" for run in verdicts),
        "median_epochs_to_right": statistics.median(each.epoch for each in named) if named else None,
        "median_steps_to_right": statistics.median(each.step for each in named) if named else None,
        "probing_share": statistics.fmean(shares) if shares else None,
        "sampled_share": statistics.fmean(run.sampled for run in verdicts) if verdicts else None,
    }


def figures(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Totals by part, and recall by symptom and by origin."""
    return {
        "parts": {
            "all": totals(verdicts),
            "tuning": totals([run for run in verdicts if run.spec.tuning]),
            "report": totals([run for run in verdicts if not run.spec.tuning]),
        },
        "by symptom": {name: totals(runs) for name, runs in grouped(verdicts, lambda each: each.spec.spec["symptom"])},
        "by origin": {name: totals(runs) for name, runs in grouped(verdicts, lambda each: each.spec.spec["origin"])},
        "deviations": {key: sorted(names) for key, names in _deviations(verdicts).items()},
        "loops": {run.card.case: run.card.why for run in verdicts if run.card.kind == "loop"},
        "runs": [_plain(run) for run in verdicts],
    }


def page(verdicts: Sequence[Verdict], found: dict[str, Any]) -> Iterator[str]:
    """The Markdown of it all."""
    yield "| part | runs | sick | detected | named | median epochs (steps) to it | healthy | with alarm | probing | sampled |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for kind in ("parts", "by symptom", "by origin"):
        for name, sums in found[kind].items():
            yield _row(name, sums)
    yield ""
    yield from rows(verdicts)
    yield "\nWhere a recipe differs from its case:\n"
    for key, names in found["deviations"].items():
        yield f"- {DEVIATIONS[key]}: {', '.join(names)}."
    yield f"- {DEVIATIONS['order']}: all."
    yield "\nIn a loop of its own under `cockpit.watch`, for what no recipe can say:\n"
    for case, why in found["loops"].items():
        yield f"- {case}: {why}."


def grouped(verdicts: Iterable[Verdict], key: Key) -> list[tuple[str, list[Verdict]]]:
    """Verdicts by a key, in the order of its names."""
    groups: dict[str, list[Verdict]] = {}
    for run in verdicts:
        groups.setdefault(key(run), []).append(run)
    return sorted(groups.items())


def _row(name: str, sums: dict[str, Any]) -> str:
    def part(number: int, whole: int) -> str:
        return f"{number}/{whole} ({number / whole:.0%})" if whole else ""

    epochs = sums["median_epochs_to_right"]
    when = f"{epochs:.2f} ({sums['median_steps_to_right']:.0f})" if epochs is not None else ""
    cost = f"{sums['probing_share']:.1%} | {sums['sampled_share']:.0%}" if sums["probing_share"] is not None else "|"
    return (
        f"| {name} | {sums['runs']} | {sums['sick']} | {part(sums['detected'], sums['sick'])} | "
        f"{part(sums['named'], sums['sick'])} | {when} | {sums['healthy']} | "
        f"{part(sums['healthy_with_alarm'], sums['healthy'])} | {cost} |"
    )


def _counted(names: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in counts.items())


def _deviations(verdicts: Sequence[Verdict]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for run in verdicts:
        for key in run.card.deviations:
            found.setdefault(key, set()).add(run.card.case)
    return found


def _plain(run: Verdict) -> dict[str, Any]:
    return {
        "case": run.card.case,
        "seed": run.card.seed,
        "kind": run.card.kind,
        "accuracy": round(run.card.accuracy, 4),
        "health": run.health,
        "expected": list(run.spec.expected),
        "right": run.right.id if run.right else None,
        "findings": [
            {"id": each.id, "severity": each.severity, "step": each.step, "epoch": round(each.epoch, 2)}
            for each in run.findings
        ],
    }
