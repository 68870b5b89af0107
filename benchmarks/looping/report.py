"""The tables of benchmarks/loop.py."""

from collections.abc import Mapping, Sequence

from looping.measure import Outcome, Plan


def head(plan: Plan, columns: Sequence[str]) -> str:
    """The first two lines of the table."""
    shares = columns[1:]
    said = f"{plan.threads} thread{'s' if plan.threads > 1 else ''}, {plan.rounds} rounds, by the "
    said += "clock" if plan.by == "wall" else "processor's time"
    names = " | ".join((f"{columns[0]}, steps/s", *shares))
    return (
        f"{said}: median share of the plain loop's speed (lowest-highest)\n\n| case | {names} |\n|---|{'---|' * len(columns)}"
    )


def row(case: str, outcome: Outcome, columns: Sequence[str]) -> str:
    """One case."""
    cells = [str(outcome.bulk[name]) if name in outcome.bulk else "failed" for name in columns[1:]]
    return f"| {case} | {' | '.join((f'{outcome.rate:.4g}', *cells))} |"


def more(outcomes: Mapping[str, Outcome]) -> str:
    """The first steps, where every one is measured more often, what the screen drew, and what failed."""
    columns = list(next(iter(outcomes.values())).early)[1:]
    lines = ["", "The first steps, once:", ""]
    lines += [f"| case | steps | {' | '.join(columns)} | rounds from step | steps a round | screen, B/s | screen, cores |"]
    lines += [f"|---|{'---|' * (len(columns) + 5)}"]
    for case, one in outcomes.items():
        cells = [f"{one.early.get(name, float('nan')):.3f}" for name in columns]
        seen = one.screen
        drawn = [f"{seen.bytes / seen.seconds:.0f}", f"{seen.cpu / seen.seconds:.2f}"] if seen else ["", ""]
        cells = [f"{one.early_steps}", *cells, f"{one.begun}", f"{one.steps}", *drawn]
        lines += [f"| {case} | {' | '.join(cells)} |"]
    lines += [f"\n{case}: {text}" for case, one in outcomes.items() for text in one.left]
    return "\n".join(lines)
