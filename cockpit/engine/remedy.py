"""Acting on a finding: a remedy at once, from a healthy checkpoint before the illness, or in a new run."""

import sys
from collections.abc import Iterable
from typing import Any

from cockpit.engine import checkpoints
from cockpit.engine.keeper import Keeper
from cockpit.engine.logbook import NonFiniteLossError
from cockpit.engine.recorder import Recorder
from cockpit.engine.reopen import replay_edits
from cockpit.engine.training import Training
from cockpit.launch import edited, fork_anew
from cockpit.recipe import Change, Recipe, changes, loads
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.launch_facts import auto_remedy, tried
from cockpit.runs.remedies import Act, Tried, Way, key, tried_by, way


class RefusedError(Exception):
    """An act that cannot be done; the text is one sentence. The run is as it was."""


def settle(recorder: Recorder) -> None:
    """Deliver every step that was trained, whatever the losses."""
    while True:
        try:
            recorder.flush()
            return
        except NonFiniteLossError:
            continue  # that block is written; others may wait behind it


def go_back(job: Training, recorder: Recorder, keeper: Keeper, before: int, flag: str = "") -> None:
    """To the newest healthy checkpoint of a step before this one, at which a flag saw nothing. RefusedError: there is none.

    The recipe is again what it was, and all that was recorded since no longer counts.
    """
    which = keeper.healthy(before, flag)
    if not which:
        raise RefusedError("there is no healthy checkpoint to go back to")
    log = keeper.logbook
    path = log.run.checkpoint(which)
    state = checkpoints.load(path)
    step = int(state["step"])
    log.rewind(step, path.name)
    job.rewire(_recipe_at(keeper, step - 1))  # the checkpoint was written before any edit of its step
    job.load_state_dict(state)
    job.rewire(_recipe_at(keeper, step))
    job.probe.after()  # what was measured of a step that was not finished
    job.probe.meter.take()
    keeper.went_back(job)
    log.watch_with(job.recipe.flags.values())
    keeper.save_last(job, "rollback")
    recorder.seconds = log.trained_seconds
    recorder.restart_clock()


def _recipe_at(keeper: Keeper, step: int) -> Recipe:
    log = keeper.logbook
    recipe = loads(log.run.recipe.read_bytes(), "recipe.yaml")
    return replay_edits(recipe, [change for change in log.history.edits if change.step <= step])


def change_live(job: Training, keeper: Keeper, new: Recipe) -> tuple[Change, ...]:
    """Take over a recipe whose differences are live, and say so. Raises ValueError where a trick refuses: all is as before."""
    found = changes(job.recipe, new)
    job.rewire(new)
    for change in found:
        keeper.logbook.write(ev.Edited(step=job.step, path=change.path, old=change.old, new=change.new, live=True))
    if any(change.path.startswith("flags.") for change in found):
        keeper.logbook.watch_with(new.flags.values())
    return found


def apply(act: Act, by: str, job: Training, recorder: Recorder, keeper: Keeper) -> RunDir | None:
    """Apply a remedy; returns the new run where it takes one. Raises RefusedError, RecipeError, RunError or ValueError."""
    finding, remedy = act
    new = edited(job.recipe, remedy.edits)
    found = changes(job.recipe, new)
    if not found:
        raise RefusedError("the recipe says so already")
    live = all(change.live for change in found)
    back = live and remedy.since == "before" and bool(keeper.healthy(finding.step, finding.id))
    how = way(remedy, live, back)
    run = None
    if how == "fork":
        run = fork_anew(keeper.logbook.run, new, command=sys.argv, done=_done(act, by, keeper))
    elif how == "rollback":
        job.rewire(new)  # a trick that refuses does so before anything has happened
        go_back(job, recorder, keeper, finding.step, finding.id)
        new = edited(job.recipe, remedy.edits)
    if run is None:
        change_live(job, keeper, new)
    _say(act, by, how, job.step, run, keeper)
    if how == "rollback":
        keeper.save_last(job, "rollback")
    return run


def _done(act: Act, by: str, keeper: Keeper) -> list[Tried] | None:
    """What was applied unasked until now, this act included; None where remedies are not applied unasked."""
    run = keeper.logbook.run
    if not auto_remedy(run):
        return None
    done = [tried_by(each) for each in keeper.logbook.history.remedied if each.by == "auto"]
    return [*tried(run), *done, *([key(act.finding.id, act.remedy)] if by == "auto" else [])]


def _say(act: Act, by: str, how: Way, step: int, run: RunDir | None, keeper: Keeper) -> None:
    event: dict[str, Any] = {"id": act.finding.id, "label": act.remedy.label, "edits": act.remedy.edits, "by": by}
    keeper.logbook.write(ev.Remedied(step=step, how=how, run=run.id if run else "", **event))


def tell(job: Training, keeper: Keeper, texts: Iterable[str] = ()) -> None:
    """Write down what the tricks have to say, and what is given."""
    for text in (*job.news(), *texts):
        keeper.logbook.write(ev.Noted(step=job.step, text=text))
