"""The tables of benchmarks/loop.py."""

from collections.abc import Mapping, Sequence

from looping.measure import Outcome, Plan


def head(plan: Plan, columns: Sequence[str], threads: str) -> str:
    """The first two lines of the table."""
    said = f"{threads}{plan.rounds} rounds, by the {'clock' if plan.by == 'wall' else 'time of the processor'}: "
    said += "median share of the speed of the first column (lowest-highest)"
    names = " | ".join((f"{columns[0]}, steps/s", *columns[1:]))
    return f"{said}\n\n| case | {names} |\n|---|{'---|' * len(columns)}"


def row(case: str, outcome: Outcome, columns: Sequence[str]) -> str:
    """One case."""
    cells = [str(outcome.bulk[name]) if name in outcome.bulk else "failed" for name in columns[1:]]
    return f"| {case} | {' | '.join((f'{outcome.rate:.4g}', *cells))} |"


def more(outcomes: Mapping[str, Outcome]) -> str:
    """The first steps, where every one is measured more often, what the screens drew, and what failed."""
    columns = list(next(iter(outcomes.values())).early)[1:]
    lines = ["", "The first steps, once:", "", f"| case | steps | {' | '.join(columns)} | rounds from step | steps a round |"]
    lines += [f"|---|{'---|' * (len(columns) + 3)}"]
    for case, one in outcomes.items():
        shares = " | ".join(f"{one.early.get(name, float('nan')):.3f}" for name in columns)
        lines += [f"| {case} | {one.early_steps} | {shares} | {one.begun} | {one.steps} |"]
    drawn = [(case, each) for case, one in outcomes.items() for each in one.screens if each.seconds]
    if drawn:
        lines += [
            "",
            "What the screens drew in those rounds:",
            "",
            "| case | column | B/s | share of a core |",
            "|---|---|---|---|",
        ]
    for case, each in drawn:
        lines += [f"| {case} | {each.worker.name} | {each.bytes / each.seconds:.0f} | {each.cpu / each.seconds:.3f} |"]
    return "\n".join([*lines, *(f"\n{case}: {text}" for case, one in outcomes.items() for text in one.left)])
