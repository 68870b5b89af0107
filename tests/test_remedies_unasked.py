"""Remedies that are applied unasked: which comes next, what they leave alone, and that those of the sick presets cure."""

import pytest
import torch
from test_control import flight_of
from test_remedies import CLIP, LOWER, STOP, WIDER, finding, orders, quiet

from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import load, loads
from cockpit.runs import events as ev
from cockpit.runs.history import History, read_history
from cockpit.runs.launch_facts import auto_remedy, say_auto_remedy, tried
from cockpit.runs.mailbox import Command
from cockpit.runs.remedies import next_act


def acts(history, *, earlier=(), refused=()):
    found = next_act(history, earlier, refused)
    return found and (found.finding.id, found.remedy.label)


def test_the_next_remedy():
    history = History()
    for found in (finding(CLIP, flag="b", step=5), finding(LOWER, STOP, CLIP, flag="a", step=8, severity="critical")):
        history.fold(found)
    assert acts(history) == ("a", "lower it")
    assert acts(history, refused={("a", ("optimizer.lr",))}) == ("a", "stop, keep the best")
    assert acts(history, earlier=[("a", ("optimizer.lr",)), ("a", ()), ("a", ("x",))]) is None  # three acts are enough
    history.fold(ev.Snoozed(id="a", until=100))
    assert acts(history) == ("b", "clip")
    history.fold(ev.Remedied(id="b", label="clip", edits=CLIP.edits, step=9, by="auto"))
    assert acts(history) is None


def test_a_remedy_is_given_time_before_the_next_one():
    history = History()
    history.fold(finding(CLIP, LOWER, step=8))
    history.fold(ev.Remedied(id="lr_too_high", label="clip", edits=CLIP.edits, step=9, by="user"))
    assert acts(history) is None
    for step in (10, 20, 30):
        history.evaluations.append(type("Seen", (), {"step": step})())
    assert acts(history) == ("lr_too_high", "lower it")
    history.evaluations.clear()
    history.fold(finding(CLIP, LOWER, step=12))  # it rose once more
    assert acts(history) == ("lr_too_high", "lower it")


def test_remedies_without_edits_are_not_applied_unasked():
    history = History()
    history.fold(finding(ev.Remedy(label="look at the labels"), step=8))
    assert acts(history) is None


def auto(recipe, runs, name="auto"):
    """Fly with --auto-remedy, through the runs that it goes on in."""
    torch.set_num_threads(1)
    run, flown = new_run(recipe, runs, name, allow_code=False, command=[], auto_remedy=True), []
    while run:
        flown.append(Flight(run, say=lambda text: None))
        flown[-1].fly()
        run = flown[-1].successor
    return flown


@pytest.mark.parametrize("preset", ["sick_exploding", "sick_dead_relu"])
def test_the_sick_presets_are_cured_unasked(runs, preset):
    flown = auto(load(preset, ["train.epochs=8"]), runs)
    history = read_history(flown[-1].run)
    assert flown[-1].end.state == "finished", flown[-1].end.reason
    assert history.best.val_accuracy > 0.9
    done = [act for flight in flown for act in read_history(flight.run).remedied]
    assert 1 <= len(done) <= 3 and all(act.by == "auto" for act in done)


def flight_auto(runs, *edits):
    flight = flight_of(runs, *edits)
    say_auto_remedy(flight.run)
    return flight


def test_unasked_a_fork_goes_on_and_remembers_what_was_tried(runs):
    flight = orders(flight_auto(runs, *quiet()), {8: [finding(WIDER, step=8)]})
    flight.fly()
    child = flight.successor
    assert flight.end.state == "stopped" and child and auto_remedy(child)
    assert tried(child) == (("lr_too_high", ("model.widths",)),)
    assert read_history(flight.run).remedied[0].by == "auto"


def test_unasked_a_stop_keeps_the_best(runs):
    flight = orders(flight_auto(runs, *quiet()), {8: [finding(STOP, step=8)]})
    flight.fly()
    assert (flight.end.state, flight.end.reason, flight.end.kept) == ("stopped", "remedy: stop, keep the best", "best")


def test_unasked_what_is_snoozed_is_left_alone(runs):
    flight = orders(flight_auto(runs, *quiet()), {7: [Command("snooze", {"flag": "lr_too_high"})], 8: [finding(CLIP, step=8)]})
    flight.fly()
    assert flight.end.state == "finished" and read_history(flight.run).remedied == []


def test_unasked_what_is_refused_is_told_and_the_next_is_taken(runs):
    wrong = ev.Remedy(label="w", edits=(("optimizer.lr", "fast"),))
    flight = orders(flight_auto(runs, *quiet()), {8: [finding(wrong, CLIP, step=8)]})
    flight.fly()
    history = read_history(flight.run)
    assert [act.label for act in history.remedied] == ["clip"]
    assert any(note.text.startswith("not applied: w: ") for note in history.notes)


def test_unasked_a_run_that_lost_its_numbers_begins_anew_where_nothing_healthy_is_left(runs):
    flight = flight_of(runs, "optimizer.lr=20", "train.epochs=30", "model.widths=[64,64,64]", "optimizer.momentum=0.99")
    say_auto_remedy(flight.run)
    orders(flight, {1: [lambda: flight.run.checkpoint("healthy").unlink()]}).fly()
    history = read_history(flight.run)
    assert flight.end.state == "stopped" and flight.successor, flight.end.reason
    assert [act.how for act in history.remedied] == ["fork"]
    assert float(loads(flight.successor.recipe.read_text()).optimizer.lr) == pytest.approx(2.0)
