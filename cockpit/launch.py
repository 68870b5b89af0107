"""Makes a run directory, from a recipe or from another run: what every front does before it starts a host. Needs no torch."""

import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cockpit.cards import card_of
from cockpit.recipe import Change, Recipe, changes, dump, loads
from cockpit.runs import directory
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.history import History, read_history
from cockpit.runs.launch_facts import allows_code, plain
from cockpit.runs.log import LineReader, LineWriter
from cockpit.runs.remedies import Tried
from cockpit.runs.tables import LAYERS, STEPS, read_table, rows_until


def new_run(
    recipe: Recipe, root: Path, name: str, *, allow_code: bool, command: Sequence[str], auto_remedy: bool = False
) -> RunDir:
    """A run directory with the resolved recipe, ready for a host. RunError where it cannot be written."""
    facts = {"allow_code": allow_code, "command": list(command), **({"auto_remedy": True} if auto_remedy else {})}
    return directory.create(root, name, dump(recipe), facts)


def edited(recipe: Recipe, edits: Iterable[tuple[str, str]]) -> Recipe:
    """The recipe with several (path, value) edits made together. Raises RecipeError."""
    return loads(dump(recipe), "recipe.yaml", [f"{path}={value}" for path, value in edits])


def recipe_left(run: RunDir, *, waiting: bool = False) -> Recipe:
    """The recipe of a run as it stands, with its live edits; with `waiting`, those for the next run too. Raises RecipeError."""
    made = [(change.path, change.new) for change in read_history(run).edits if change.live or waiting]
    return edited(loads(run.recipe.read_bytes(), "recipe.yaml"), made)


def fork_anew(
    parent: RunDir, recipe: Recipe, *, command: Sequence[str], name: str = "", done: Sequence[Tried] | None = None
) -> RunDir:
    """A run of a changed recipe from its first step. RunError where it cannot be written.

    `done`: the remedies that were applied unasked so far, where the new run is to go on applying them.
    """
    facts = _facts(parent, 0, command)
    if done is not None:
        facts |= {"auto_remedy": True, "tried": plain(done)}
    return directory.create(parent.path.parent, name or parent.name, dump(recipe), facts)


@dataclass(frozen=True)
class Place:
    """A checkpoint of a run from which another may go on."""

    which: str
    """last, best, healthy or epoch_00003."""
    step: int
    lines: int
    """Lines of the log until it was written."""


def fork_from(parent: RunDir, place: Place, edits: Sequence[str], *, command: Sequence[str], name: str = "") -> RunDir:
    """A run that goes on from a checkpoint of `parent`, with its history until then and `path=value` edits from then on.

    It is ready to be resumed. Raises RecipeError, and RunError where an edit does not fit the checkpoint.
    """
    base = loads(parent.recipe.read_bytes(), "recipe.yaml")
    made = _edits_until(parent, place)
    old = edited(base, ((change.path, change.new) for change in made if change.live))
    found = changes(old, loads(dump(old), "recipe.yaml", edits))
    _check_fit(found, old, loads(dump(old), "recipe.yaml", edits))
    run = directory.create(
        parent.path.parent, name or parent.name, parent.recipe.read_text(encoding="utf-8"), _facts(parent, place.step, command)
    )
    try:
        _copy(parent, run, place)
        log = LineWriter(run.events)
        for change in found:
            said = ev.Edited(t=time.time(), step=place.step, path=change.path, old=change.old, new=change.new, live=True)
            log.append(ev.encode(said))
        log.close()
    except OSError as error:
        shutil.rmtree(run.path, ignore_errors=True)
        raise RunError(f"run {parent.id} cannot be forked: {error.strerror}") from error
    return run


def place_of(parent: RunDir, which: str) -> Place:
    """Where a checkpoint stands in a run's record. Raises RunError where it is gone, or where the run has left its path."""
    found, left = None, False
    for number, line in enumerate(LineReader(parent.events).read(), 1):
        event = _decoded(line)
        if isinstance(event, ev.Checkpointed) and event.path == f"checkpoints/{which}.pt":
            found, left = Place(which, event.step, number), False
        elif isinstance(event, ev.Resumed) and found and event.step < found.step:
            left = True
    if found is None or not parent.checkpoint(which).exists():
        raise RunError(f"run {parent.id} ({parent.name}) has no checkpoint {which}")
    if left:
        raise RunError(f"checkpoint {which} is of step {found.step:,}, and run {parent.id} has gone back from there since")
    return found


def _facts(parent: RunDir, step: int, command: Sequence[str]) -> dict[str, Any]:
    return {"allow_code": allows_code(parent), "command": list(command), "parent": {"run": parent.id, "step": step}}


def _edits_until(parent: RunDir, place: Place) -> list[ev.Edited]:
    history = History()
    for line in LineReader(parent.events).read()[: place.lines]:
        event = _decoded(line)
        if event:
            history.fold(event)
    return history.edits


def _decoded(line: str) -> ev.Event | None:
    try:
        return ev.decode(line)
    except (ValueError, TypeError):
        return None


def _check_fit(found: Sequence[Change], old: Recipe, new: Recipe) -> None:
    """Raise RunError where the state of the old recipe's training has no place in the new one's."""
    for change in found:
        if not change.live and not _fits(change.path.split("."), (old.tricks, new.tricks)):
            raise RunError(f"{change.path}: the checkpoint does not fit another one; --at start trains from the first step")


def _fits(path: Sequence[str], tricks: Sequence[Mapping[str, Any]]) -> bool:
    if path[0] in ("about", "loss", "schedule", "score"):
        return True
    if path[0] == "train":
        return path[1] not in ("batch_size", "drop_last")  # the step would fall elsewhere in another epoch
    if path[0] != "tricks":
        return False
    trick = next(found[path[1]] for found in reversed(tricks) if path[1] in found)
    return not {"dataset", "model", "params", "optimizer", "sampler"} & {*card_of(trick).seams}


def _copy(parent: RunDir, run: RunDir, place: Place) -> None:
    """Checkpoint, log and tables until then. OSError where the disk is full."""
    weights = parent.checkpoint(place.which)
    for which in ("last", *(("best",) if place.which == "best" else ())):
        _link(weights, run.checkpoint(which))
    best = parent.checkpoint("best")
    if not run.checkpoint("best").exists() and best.exists():
        _link(best, run.checkpoint("best"))  # the host drops it from the record where it is of a later step
    log = LineWriter(run.events)
    for line in LineReader(parent.events).read()[: place.lines]:
        log.append(line)
    log.close()
    for name, dtype in (("steps", STEPS), ("layers", LAYERS)):
        rows = read_table(parent.table(name), dtype)
        np.asarray(rows[: rows_until(rows, place.step)] if len(rows) else rows).tofile(run.table(name))


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)
