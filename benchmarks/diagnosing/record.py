"""Trains cases and leaves a whole run directory of each, with a card that says which case it is and how it ended."""

import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cockpit.recipe import RecipeError
from diagnosing.cases import Case, cases
from diagnosing.recipes import NotARecipeError, recipe

CARD = "case.json"
NICE = 5


@dataclass(frozen=True)
class Card:
    """What a recorded run is of, beside the run's own files."""

    case: str
    seed: int
    kind: str
    """recipe, or loop."""
    accuracy: float
    """Clean validation accuracy at the end; 0 where the run died."""
    seconds: float
    state: str
    deviations: tuple[str, ...] = ()
    why: str = ""
    """Why it is no recipe."""
    edits: tuple[tuple[str, str], ...] = ()
    """What was changed in the case's recipe, where this is a cure."""


@dataclass(frozen=True)
class Job:
    """One run to make."""

    case: str
    file: Path
    seed: int
    out: Path
    name: str
    edits: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> Path:
        """Where the run directory will be."""
        return self.out / self.name


def recorded(out: Path) -> Iterator[tuple[Card, Path]]:
    """The finished runs under a folder, by name."""
    for file in sorted(out.glob(f"*/{CARD}")):
        plain = json.loads(file.read_text(encoding="utf-8"))
        listed = {
            key: tuple(map(tuple, plain[key])) if key == "edits" else tuple(plain[key]) for key in ("deviations", "edits")
        }
        yield Card(**{**plain, **listed}), file.parent


def jobs_of(chosen: Iterable[Case], seeds: Iterable[int], out: Path) -> list[Job]:
    """Every case once with each seed: all cases with the first seed, then all with the next."""
    chosen = list(chosen)
    return [Job(case.id, case.file, seed, out, f"{case.id}_{seed}") for seed in seeds for case in chosen]


def record(work: Iterable[Job], jobs: int) -> Iterator[Card]:
    """Make the runs that are not there yet, so many at a time; yields each as it ends."""
    waiting = [job for job in work if not (job.path / CARD).exists()]
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=os.nice, initargs=(NICE,)) as pool:
        for done in as_completed([pool.submit(make, job) for job in waiting]):
            yield done.result()


def make(job: Job) -> Card:
    """One run, in a worker."""
    import torch

    torch.set_num_threads(1)
    case = cases(job.file, job.case)[0]
    begun = time.monotonic()
    try:
        run, made = _made(case, job)
        for weights in run.glob("checkpoints/*.pt"):
            weights.unlink()
        run.rename(job.path)
    except RecipeError as error:
        job.path.mkdir(parents=True, exist_ok=True)
        made = {"kind": "recipe", "accuracy": 0.0, "state": f"refused: {error}"}
    card = Card(case=job.case, seed=job.seed, seconds=round(time.monotonic() - begun, 1), edits=job.edits, **made)
    (job.path / CARD).write_text(json.dumps(asdict(card), indent=1), encoding="utf-8")
    return card


def _made(case: Case, job: Job) -> tuple[Path, dict[str, Any]]:
    """Train as a recipe where the case can be one, else in a loop of its own; the run's folder, and how it ended."""
    try:
        tree, deviations = recipe(case, job.seed, job.out / "data")
    except NotARecipeError as error:
        from diagnosing.loops import train

        run, accuracy = train(case, job.seed, job.out)
        return run, {"kind": "loop", "accuracy": accuracy, "state": "finished", "why": str(error)}
    run, made = _by_recipe(tree, job)
    return run, {**made, "kind": "recipe", "deviations": deviations}


def _by_recipe(tree: Mapping[str, Any], job: Job) -> tuple[Path, dict[str, Any]]:
    """Train a recipe to its end; the run's folder, and how it ended. RecipeError where an edit cannot be made."""
    import yaml

    from cockpit.host.host import Host
    from cockpit.launch import new_run
    from cockpit.recipe import loads
    from cockpit.runs.history import read_history

    decoded = loads(yaml.safe_dump(dict(tree)), edits=[f"{path}={value}" for path, value in job.edits])
    run = new_run(decoded, job.out, job.name, allow_code=False, command=["benchmarks/diagnosis.py"])
    ended = Host(run, say=lambda text: None).run()
    if ended.state == "failed" and "the loss became" not in ended.reason:
        raise RuntimeError(f"{job.name}: {ended.reason}")  # a fault of code is no illness
    seen = read_history(run).evaluations
    accuracy = seen[-1].val_accuracy if seen else math.nan
    return run.path, {"accuracy": accuracy if math.isfinite(accuracy) else 0.0, "state": ended.state}
