"""Times the columns in turn, one case after the other."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cockpit.bench.rounds import Spread, in_turn, shares
from looping.columns import FailedError, Watched, Worker

FIRST, BULK = 1000, 1100
"""Steps are measured more often until the first; rounds begin after the second, where steps are quick enough to get there."""


@dataclass(frozen=True)
class Plan:
    """How to measure."""

    by: str
    """wall or cpu."""
    rounds: int
    folder: Path
    warm: float = 1.2
    """Seconds of the first steps of the plain loop ..."""
    length: float = 0.8
    """... and of a round; others do as many steps."""


@dataclass(frozen=True)
class Outcome:
    """Of one case."""

    rate: float
    """Steps a second of the plain loop."""
    early: Mapping[str, float]
    """Share of the plain loop over the first steps."""
    early_steps: int
    bulk: Mapping[str, Spread]
    steps: int
    """In a round."""
    begun: int
    """Steps before the first round."""
    screens: Sequence[Watched]
    left: Sequence[str]
    """Columns that failed, and how."""


def measure(case: str, workers: Sequence[Worker], plan: Plan) -> Outcome:
    """One case. The first column is what the others are a share of."""
    for worker in workers:
        worker.ask(case=case, threads=worker.threads, by=plan.by, folder=str(plan.folder))
    opened, left = {}, []
    for worker in workers:
        try:
            opened[worker] = worker.opened()
        except FailedError as error:
            left.append(str(error))
    watched = [Watched(worker, run) for worker, run in opened.items() if "screen" in worker.column]
    try:
        return _timed(list(opened), watched, plan, left)
    finally:
        for worker in workers:
            worker.end()


def _timed(workers: Sequence[Worker], watched: Sequence[Watched], plan: Plan, left: Sequence[str]) -> Outcome:
    base, lanes = workers[0].name, {worker.name: worker.steps for worker in workers}
    in_turn(lanes, 5, 1)  # what torch does once
    pace = 10 / lanes[base](10)
    chunk = max(2, min(FIRST, round(pace * plan.warm)) // 4)
    early = in_turn(lanes, chunk, 4)
    begun = 5 + 4 * chunk
    if 2 * begun > BULK and any(worker.column.startswith("ours") for worker in workers):
        in_turn(lanes, BULK - begun, 1)
        begun = BULK
    steps = max(4, round(4 * chunk / sum(early[base]) * plan.length))
    with ExitStack() as stack:
        lanes |= {one.worker.name: stack.enter_context(one.screen()) for one in watched}
        taken = in_turn(lanes, steps, plan.rounds)
    left = [*left, *(f"{one.worker.name}: the screen drew nothing" for one in watched if not one.bytes)]
    return Outcome(
        rate=steps / median(taken[base]),
        early={name: sum(early[base]) / sum(every) for name, every in early.items()},
        early_steps=4 * chunk,
        bulk=shares(taken, base),
        steps=steps,
        begun=begun,
        screens=watched,
        left=left,
    )
