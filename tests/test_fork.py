"""`cockpit fork`: a run from the first step of another, or from one of its checkpoints, with its history until then."""

import json

import numpy as np
import pytest
import torch
from commands import answer, cockpit, refused
from conftest import TINY
from test_loop import assert_same, stop_after, weights

from cockpit.cli.forking import forked
from cockpit.engine import checkpoints
from cockpit.host.flight import Flight
from cockpit.launch import edited, new_run, place_of, recipe_left
from cockpit.recipe import loads
from cockpit.runs.directory import RunError, find
from cockpit.runs.history import read_history
from cockpit.runs.launch_facts import parent
from cockpit.runs.mailbox import Command


@pytest.fixture
def early(monkeypatch):
    """The flags are taken to look from the first step on: the runs of these tests are short."""
    monkeypatch.setattr("cockpit.engine.logbook.settled", lambda history: True)


def child_of(run, at, *edits, resume=True):
    child, _ = forked(run, at, list(edits), "")
    flight = Flight(child, resume=resume, say=lambda text: None)
    flight.fly()
    assert flight.end.state == "finished", flight.end.reason
    return flight


def test_a_fork_from_the_start_is_the_changed_recipe_from_its_seed(fly):
    first = fly(TINY)
    child = child_of(first.run, "start", "optimizer.lr=0.02", resume=False)
    assert_same(weights(child), weights(fly(TINY, "optimizer.lr=0.02")))
    assert parent(child.run) == (first.run.id, 0) and child.run.name == first.run.name
    assert [round(float(rate), 6) for rate in read_history(child.run).steps["lr"]] == [0.02] * 12


def test_a_fork_takes_what_was_edited_and_what_waits(runs):
    from test_control import edit, flight_of, order_at

    flight = order_at(flight_of(runs), {3: [edit("optimizer.lr", "0.05"), edit("model.widths", "[8]")]})
    flight.fly()
    assert recipe_left(flight.run).model.widths == (16,)
    child, step = forked(flight.run, "start", [], "again")
    recipe = loads(child.recipe.read_text())
    assert (recipe.model.widths, recipe.optimizer.lr, step, child.name) == ((8,), 0.05, 0, "again")


def test_a_fork_from_last_without_changes_goes_on_as_the_run_would_have(fly, runs):
    edits = ("tricks={mixup: on, dropout: {p: 0.3}, weight_ema: on}", "optimizer=adam", "train.epochs=3")
    whole = fly(TINY, *edits)
    broken = stop_after(Flight(new_run(loads(TINY, edits=edits), runs, "broken", allow_code=False, command=[]), say=print), 9)
    broken.fly()
    child = child_of(broken.run, "last")
    assert_same(weights(child), weights(whole))
    history = read_history(child.run)
    assert history.steps["step"].tolist() == list(range(1, 19))
    assert np.array_equal(history.steps["loss"], read_history(whole.run).steps["loss"])
    assert [seen.step for seen in history.evaluations] == [6, 12, 18]
    assert parent(child.run) == (broken.run.id, 9)


def test_the_edits_hold_from_the_checkpoint_on_and_outlive_a_resume(fly):
    first = fly(TINY, "train.epochs=2", "optimizer.weight_decay=0.1")
    edits = ("train.epochs=3", "optimizer.lr=0.01", "optimizer.weight_decay=0.2", "tricks.grad_clip=on")
    child = child_of(first.run, "last", *edits)
    rates = [round(float(rate), 6) for rate in read_history(child.run).steps["lr"]]
    assert rates == [0.1] * 12 + [0.01] * 6
    assert child.job.optimizer.param_groups[0]["weight_decay"] == 0.2
    assert recipe_left(child.run).train.epochs == 3


@pytest.mark.parametrize("at", ["best", "epoch 2", "2", "healthy"])
@pytest.mark.usefixtures("early")
def test_a_fork_from_other_checkpoints_begins_at_their_step(fly, at):
    first = fly(TINY, "train.epochs=3", "train.keep=3")
    which = {"best": "best", "healthy": "healthy"}.get(at, "epoch_00002")
    place = place_of(first.run, which, first.run.checkpoint(which))
    child = child_of(first.run, at, "train.epochs=4")
    history = read_history(child.run)
    assert history.steps["step"].tolist() == list(range(1, 25))
    before = read_history(first.run).steps["loss"][: place.step]
    assert np.array_equal(history.steps["loss"][: place.step], before)
    assert history.best is not None
    assert torch.load(child.run.checkpoint("best"), weights_only=True)["step"] == history.best.step


@pytest.mark.parametrize("edit", ["model.widths=[8]", "optimizer=adam", "train.batch_size=16", "data.limit=100", "seed=2"])
def test_what_does_not_fit_the_checkpoint_is_refused(fly, edit):
    first = fly()
    before = len(list(first.run.path.parent.iterdir()))
    said = refused("fork", first.run.id, "--at", "last", "--set", "train.epochs=4", "--set", edit)
    assert "--at start" in said and edit.split("=")[0].split(".")[0] in said
    assert len(list(first.run.path.parent.iterdir())) == before


def test_words_for_what_cannot_be(fly):
    run = fly().run
    assert "train.epochs=N" in refused("fork", run.id, "--at", "last")
    assert "an epoch such as" in refused("fork", run.id, "--at", "never")
    assert "has no checkpoint epoch_00001" in refused("fork", run.id, "--at", "epoch 1")
    assert "optimzer" in refused("fork", run.id, "--set", "optimzer.lr=1")
    assert "no run" in refused("fork", "nothing")


@pytest.mark.usefixtures("early")
def test_a_checkpoint_that_the_run_has_left_is_refused(runs):
    from test_control import flight_of, order_at

    flight = order_at(flight_of(runs, "train.epochs=4"), {14: [Command("checkpoint"), Command("rollback"), Command("stop")]})
    flight.fly()
    history = read_history(flight.run)
    assert flight.step == 12 and history.steps["step"].tolist() == list(range(1, 13))
    assert place_of(flight.run, "last", flight.run.checkpoint("last")).step == 12
    lines = flight.run.events.read_text().splitlines()
    asked = next(number for number, line in enumerate(lines) if '"asked"' in line)
    flight.run.events.write_text(
        "\n".join(line.replace("last.pt", "kept.pt") if n == asked else line for n, line in enumerate(lines)) + "\n"
    )
    checkpoints.save(flight.run.checkpoint("kept"), {"step": 14})
    with pytest.raises(RunError, match="gone back from there since"):
        place_of(flight.run, "kept", flight.run.checkpoint("kept"))


def test_in_the_foreground_and_as_json(fly, runs):
    first = fly()
    done = answer("fork", first.run.id, "--foreground", "--set", "optimizer.lr=0.02", "--name", "second")
    assert (done["name"], done["state"]) == ("second", "finished")
    assert json.loads(find(runs, done["id"]).launch.read_text())["parent"] == {"run": first.run.id, "step": 0}
    assert cockpit("show", done["id"]).code == 0


def test_several_edits_are_made_together():
    recipe = edited(loads(TINY), [("optimizer", "adam"), ("optimizer.lr", "0.5"), ("tricks.grad_clip", "{max_norm: 2.0}")])
    assert (recipe.optimizer.lr, recipe.tricks["grad_clip"].max_norm) == (0.5, 2.0)


def test_a_checkpoint_is_linked_and_the_link_outlives_the_next_writing(tmp_path):
    checkpoints.save(tmp_path / "last.pt", {"step": 1})
    checkpoints.link(tmp_path / "last.pt", tmp_path / "healthy.pt")
    assert (tmp_path / "last.pt").stat().st_ino == (tmp_path / "healthy.pt").stat().st_ino
    checkpoints.save(tmp_path / "last.pt", {"step": 2})
    assert checkpoints.load(tmp_path / "healthy.pt")["step"] == 1
