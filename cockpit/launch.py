"""Makes a run directory, from a recipe or from another run: what every front does before it starts a host. Needs no torch."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cockpit.cards import card_of
from cockpit.recipe import Change, Recipe, changes, dump, loads
from cockpit.recipe.notify import check
from cockpit.runs import directory
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.history import read_history
from cockpit.runs.kept import places, step_of
from cockpit.runs.launch_facts import allows_code, plain
from cockpit.runs.log import LineReader, LineWriter
from cockpit.runs.remedies import Tried
from cockpit.runs.sound import Record, sound
from cockpit.runs.state import state_of
from cockpit.runs.tables import write_table

PATIENCE = 2.0
"""Seconds that the log of a living run has to tell of a checkpoint that is there ..."""
PAUSE = 0.05
"""... and between two looks at it."""


def new_run(
    recipe: Recipe, root: Path, name: str, *, allow_code: bool, command: Sequence[str], auto_remedy: bool = False
) -> RunDir:
    """A run directory with the resolved recipe, ready for a host. RunError where it cannot be written.

    RecipeError where nobody could be notified as it asks.
    """
    check(recipe.notify)
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


def fork_from(
    parent: RunDir, which: str, edits: Sequence[str], *, command: Sequence[str], name: str = ""
) -> tuple[RunDir, int, str]:
    """A run that goes on from a checkpoint of `parent`, with its history until then and `path=value` edits from then on.

    Returns it, ready to be resumed, its step, and what is missing of that history in a sentence, or nothing. Raises
    RecipeError, and RunError where an edit does not fit the checkpoint. `parent` may be running.
    """
    with _held(parent, which) as file:
        place = place_of(parent, which, file)
        record = sound(parent, lines=place.lines, step=place.step)
        if record.gaps:  # a living run may be going back at this moment, and then says so next
            time.sleep(PAUSE)
            place = place_of(parent, which, file)
            record = sound(parent, lines=place.lines, step=place.step)
        base = loads(parent.recipe.read_bytes(), "recipe.yaml")
        old = edited(base, ((change.path, change.new) for change in record.history.edits if change.live))
        new = loads(dump(old), "recipe.yaml", edits)
        found = changes(old, new)
        _check_rest(parent, place, found)
        _check_fit(found, old, new)
        text, facts = parent.recipe.read_text(encoding="utf-8"), _facts(parent, place.step, command)
        run = directory.create(parent.path.parent, name or parent.name, text, facts)
        try:
            _fill(run, file, parent.checkpoint("best"), place, record, found)
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)
            raise
    return run, place.step, record.gaps


@contextmanager
def _held(parent: RunDir, which: str) -> Iterator[Path]:
    """The checkpoint under a second name, for as long as it takes: a living run puts another in its place at any moment."""
    try:
        with TemporaryDirectory(prefix=".fork_", dir=parent.path.parent) as folder:
            file = Path(folder) / f"{which}.pt"
            try:
                _link(parent.checkpoint(which), file)
            except FileNotFoundError as error:
                raise RunError(_none_such(parent, which)) from error
            yield file
    except OSError as error:
        raise RunError(f"run {parent.id} cannot be forked: {error.strerror}") from error


def place_of(parent: RunDir, which: str, file: Path) -> Place:
    """Where a checkpoint that was found under this name stands in a run's record, by the step that it holds itself.

    RunError where it is damaged, where the log does not tell of it, or where the run has left its path.
    """
    step, until = step_of(file), time.monotonic() + PATIENCE
    found, left = _line_of(parent, which, step)
    while (left or not found) and state_of(parent) in ("running", "paused") and time.monotonic() < until:
        time.sleep(PAUSE)  # a host writes the file first, and the line a moment later
        found, left = _line_of(parent, which, step)
    if left:
        raise RunError(f"checkpoint {which} is of step {step:,}, and run {parent.id} has gone back from there since")
    if not found:
        said = f"checkpoint {which} is of step {step:,}, and events.jsonl of run {parent.id} does not tell of it"
        raise RunError(f"{said}: part of the log is lost; --at start trains from the first step")
    return Place(which, step, found)


def _line_of(parent: RunDir, which: str, step: int) -> tuple[int, bool]:
    """(line of the log, from 1, that tells of the checkpoint of this step; 0: none; whether the run went back from there)."""
    found, left = 0, False
    for number, line in enumerate(LineReader(parent.events).read(), 1):
        event = _decoded(line)
        if isinstance(event, ev.Checkpointed) and (event.path, event.step) == (f"checkpoints/{which}.pt", step):
            found, left = number, False
        elif isinstance(event, ev.Resumed) and found and event.step < step:
            left = True
    return found, left


def _none_such(parent: RunDir, which: str) -> str:
    there = places(parent)
    said = f"it has {', '.join(there)}" if there else "it has none"
    epochs = "; train.keep=N in a recipe keeps the last N epochs" if which.startswith("epoch_") else ""
    return f"run {parent.id} ({parent.name}) has no checkpoint {which}: {said}{epochs}"


def _facts(parent: RunDir, step: int, command: Sequence[str]) -> dict[str, Any]:
    return {"allow_code": allows_code(parent), "command": list(command), "parent": {"run": parent.id, "step": step}}


def _decoded(line: str) -> ev.Event | None:
    try:
        return ev.decode(line)
    except (ValueError, TypeError):
        return None


def _check_rest(parent: RunDir, place: Place, found: Sequence[Change]) -> None:
    """Raise RunError where nothing is left to train."""
    facts = read_history(parent).started
    if facts and place.step >= facts.total_steps and "train.epochs" not in {change.path for change in found}:
        raise RunError(f"step {place.step:,} is the end of the run; --set train.epochs=N trains on from there")


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


def _fill(run: RunDir, file: Path, best: Path, place: Place, record: Record, found: Sequence[Change]) -> None:
    """Checkpoints, tables and log of the new run until its host takes over. OSError where the disk is full."""
    _link(file, run.checkpoint("last"))
    with suppress(FileNotFoundError):  # the host drops the best from the record where it is of a later step
        _link(file if place.which == "best" else best, run.checkpoint("best"))
    write_table(run.table("steps"), record.history.steps)
    write_table(run.table("layers"), record.history.layers)
    said: list[ev.Event] = []
    if place.which != "last":
        said.append(ev.Checkpointed(step=place.step, path="checkpoints/last.pt", reason="forked"))
    if record.gaps:
        said.append(ev.Noted(step=place.step, level="warning", text=record.gaps))
    for change in found:
        said.append(ev.Edited(step=place.step, path=change.path, old=change.old, new=change.new, live=True))
    log = LineWriter(run.events)
    for line in (*record.lines, *(ev.encode(replace(event, t=time.time())) for event in said)):
        log.append(line)
    log.close()


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(path, to)
