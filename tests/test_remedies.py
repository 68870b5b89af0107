"""Remedies: which way they take, and what they leave as it was."""

import threading
import time

import numpy as np
import pytest
import torch
from conftest import TINY
from test_control import edit, flight_of
from test_fork import child_of
from test_loop import assert_same, weights

from cockpit.engine import checkpoints
from cockpit.engine.logbook import Logbook
from cockpit.host.flight import Flight
from cockpit.host.host import Host
from cockpit.launch import new_run
from cockpit.recipe import changes, loads
from cockpit.recipe import edit as edited
from cockpit.runs import events as ev
from cockpit.runs.history import RunReader, read_history
from cockpit.runs.mailbox import Command
from cockpit.runs.remedies import way
from cockpit.runs.tables import LAYERS, STEPS, blank, read_table

RICH = ("tricks={mixup: on, dropout: {p: 0.3}, weight_ema: on}", "optimizer=adam", "optimizer.lr=0.01", "train.epochs=4")
LOWER = ev.Remedy(label="lower it", edits=(("optimizer.lr", "0.002"),), since="before")
CLIP = ev.Remedy(label="clip", edits=(("tricks.grad_clip", "{max_norm: 0.5}"),))
WIDER = ev.Remedy(label="widen", edits=(("model.widths", "[24]"),), since="start")
STOP = ev.Remedy(label="stop, keep the best", verb="stop")


def finding(*remedies, step=15, flag="lr_too_high", severity="warning"):
    return ev.Flagged(id=flag, severity=severity, step=step, epoch=1.0, headline="too high", remedies=remedies)


def orders(flight, at):
    """After given steps, the first time they are reached: events are written, commands posted, functions called."""
    at, obey = {step: list(each) for step, each in at.items()}, flight.control.obey

    def wrapped(job, recorder, keeper):
        for order in at.pop(job.step, ()):
            if isinstance(order, Command):
                flight.control.post(order)
            elif isinstance(order, ev.Event):
                recorder.flush()
                keeper.logbook._say([order])
            else:
                order()
        return obey(job, recorder, keeper)

    flight.control.obey = wrapped
    return flight


@pytest.fixture
def early(monkeypatch):
    """The flags are taken to look from the first step on: the runs of these tests are short."""
    monkeypatch.setattr("cockpit.engine.logbook.settled", lambda history: True)


def remedy(number, flag="lr_too_high"):
    return Command("remedy", {"flag": flag, "number": str(number)})


def quiet(*edits):
    """No flag looks by itself."""
    from cockpit import catalog

    return (*(f"flags.{name}=off" for name in catalog.flags() if name != "lr_too_high"), "flags.lr_too_high=on", *edits)


@pytest.mark.parametrize(
    ("since", "live", "healthy", "expected"),
    [
        ("now", True, True, "live"),
        ("now", True, False, "live"),
        ("now", False, True, "fork"),
        ("before", True, True, "rollback"),
        ("before", True, False, "fork"),
        ("before", False, True, "fork"),
        ("start", True, True, "fork"),
    ],
)
def test_the_way_of_a_remedy(since, live, healthy, expected):
    assert way(ev.Remedy(label="r", since=since), live, healthy) == expected


@pytest.mark.usefixtures("early")
def test_healthy_checkpoints_are_those_of_evaluations_without_a_finding(runs):
    ill = finding(CLIP, step=13)
    flight = orders(flight_of(runs, *quiet("train.epochs=4")), {13: [ill]})
    flight.fly()
    steps = [torch.load(flight.run.checkpoint(which), weights_only=True)["step"] for which in ("healthy", "healthy_before")]
    assert steps == [12, 6]
    assert sorted(path.name for path in flight.run.checkpoint("last").parent.iterdir()) == [
        "before.pt",
        "best.pt",
        "healthy.pt",
        "healthy_before.pt",
        "last.pt",
    ]


def test_the_fresh_network_is_healthy(runs):
    flight = orders(flight_of(runs), {1: [Command("stop")]})
    flight.fly()
    assert checkpoints.load(flight.run.checkpoint("healthy"))["step"] == 0


@pytest.mark.usefixtures("early")
def test_a_rollback_is_bit_for_bit_a_run_forked_there(runs):
    flight = orders(flight_of(runs, *quiet(*RICH)), {15: [finding(LOWER), remedy(1)]})
    flight.fly()
    assert flight.end.state == "finished", flight.end.reason
    history = read_history(flight.run)
    (done,) = history.remedied
    assert (done.how, done.by, done.step, done.edits) == ("rollback", "user", 12, LOWER.edits)
    assert history.active == {} and [seen.step for seen in history.evaluations] == [6, 12, 18, 24]
    assert history.steps["step"].tolist() == list(range(1, 25))
    assert [(change.path, change.step, change.live) for change in history.edits] == [("optimizer.lr", 12, True)]
    twin = orders(flight_of(runs, *quiet(*RICH)), {15: [Command("stop")]})
    twin.fly()
    child = child_of(twin.run, "healthy", "optimizer.lr=0.002")
    assert_same(weights(child), weights(flight))
    assert np.array_equal(read_history(child.run).steps["loss"], history.steps["loss"])


@pytest.mark.usefixtures("early")
def test_what_was_changed_since_the_checkpoint_is_taken_back(runs):
    changed = [edit("tricks.grad_clip", "on"), edit("optimizer.weight_decay", "0.3")]
    flight = orders(flight_of(runs, *quiet(*RICH)), {13: changed, 15: [Command("rollback")]})
    flight.fly()
    assert flight.job.recipe.optimizer.weight_decay == 0 == flight.job.optimizer.param_groups[0]["weight_decay"]
    assert "grad_clip" not in flight.job.wiring.plugs and read_history(flight.run).edits == []
    plain = flight_of(runs, *quiet(*RICH))
    plain.fly()
    assert_same(weights(flight), weights(plain))


@pytest.mark.usefixtures("early")
def test_a_second_rollback_goes_further_back_and_keeps_the_edits_of_its_step(runs):
    again = finding(ev.Remedy(label="clip", edits=CLIP.edits, since="before"))
    flight = orders(
        flight_of(runs, *quiet(*RICH)),
        {14: [finding(LOWER, step=14), remedy(1)], 15: [again, remedy(1)], 16: [Command("rollback")], 17: [Command("stop")]},
    )
    flight.fly()
    history = read_history(flight.run)
    assert [change.path for change in history.edits] == ["optimizer.lr", "tricks.grad_clip"]
    assert {change.step for change in history.edits} == {12}
    second = Flight(flight.run, resume=True, say=print)
    second.fly()
    assert second.end.state == "finished" and second.job.recipe.optimizer.lr == 0.002


def test_a_remedy_that_helps_now_is_an_edit_of_the_running_run(runs):
    flight = orders(flight_of(runs, *quiet("train.epochs=4")), {15: [finding(LOWER, CLIP), remedy(2)]})
    flight.fly()
    history = read_history(flight.run)
    (done,) = history.remedied
    assert (done.how, done.step) == ("live", 15) and "grad_clip" in flight.job.wiring.plugs
    assert [(change.path, change.step) for change in history.edits] == [("tricks.grad_clip", 15)]
    assert history.commands[-1].ok


def test_a_remedy_from_the_start_ends_the_run_and_goes_on_in_another(runs):
    flight = orders(flight_of(runs, *quiet("train.epochs=4")), {15: [finding(WIDER), remedy(1)]})
    went: list = []
    host = Host(flight.run, onward=went.append)
    host.flight = flight
    host.run()
    history = read_history(flight.run)
    assert flight.end.state == "stopped" and flight.end.reason == f"remedy: widen, goes on as run {went[0].id}"
    assert (history.remedied[0].how, history.remedied[0].run) == ("fork", went[0].id)
    assert loads(went[0].recipe.read_text()).model.widths == (24,)


def test_a_remedy_that_stops_stops(runs):
    flight = orders(flight_of(runs, *quiet()), {8: [finding(STOP, step=8), remedy(1)]})
    flight.fly()
    assert (flight.end.state, flight.end.step, flight.end.kept) == ("stopped", 8, "last")


def test_remedies_that_cannot_be_are_refused_with_a_sentence(runs):
    same = ev.Remedy(label="s", edits=(("optimizer.lr", "0.1"),))
    wrong = ev.Remedy(label="w", edits=(("optimizer.lr", "fast"),))
    unasked = Command("remedy", {"flag": "lr_too_high", "number": "1", "by": "auto"})
    asked = [remedy(1), remedy(2), remedy(3), remedy("x"), remedy(1, "nothing"), unasked]
    flight = orders(flight_of(runs, *quiet()), {8: [finding(same, wrong, step=8), *asked]})
    flight.fly()
    history = read_history(flight.run)
    details = [command.detail for command in history.commands]
    assert flight.end.state == "finished" and not any(command.ok for command in history.commands)
    assert "already" in details[0] and "expected a number" in details[1] and "2 remedies" in details[2]
    assert "none of them" in details[3] and "no finding" in details[4] and history.remedied == []
    assert details[5] == "by: expected user, got 'auto'"


def test_snoozing(runs):
    snooze = [Command("snooze", {"flag": "lr_too_high"}), Command("snooze", {"flag": "x"})]
    flight = orders(flight_of(runs, *quiet()), {8: [*snooze, Command("snooze", {"flag": "lr_too_high", "epochs": "-1"})]})
    flight.fly()
    history = read_history(flight.run)
    assert history.snoozed == {"lr_too_high": 8 + 5 * 6}
    assert [command.ok for command in history.commands] == [True, False, False]


@pytest.mark.parametrize(
    ("then", "snoozed", "severity"),
    [("pause", False, "warning"), ("note", False, "warning"), ("pause", True, "warning"), ("pause", False, "info")],
)
def test_a_flag_may_pause_the_run(runs, then, snoozed, severity):
    start = [Command("snooze", {"flag": "lr_too_high"})] if snoozed else []
    flight = flight_of(runs, *quiet(f"flags.lr_too_high.then={then}"))
    orders(flight, {7: start, 9: [finding(CLIP, step=9, severity=severity)]})
    thread = threading.Thread(target=flight.fly)
    thread.start()
    reader, until = RunReader(flight.run), time.monotonic() + 60
    while thread.is_alive() and not reader.history.paused and time.monotonic() < until:
        reader.poll()
        time.sleep(0.02)
    paused = reader.history.paused
    flight.control.post(Command("continue"))
    thread.join(timeout=60)
    assert paused == (then == "pause" and not snoozed and severity == "warning")
    assert flight.end.state == "finished"
    texts = [note.text for note in read_history(flight.run).notes]
    assert (f"paused by flags.lr_too_high.then until `cockpit continue {flight.run.id}`: too high" in texts) == paused


def test_flags_are_edited_while_the_run_runs(runs):
    flight = orders(
        flight_of(runs, *quiet("train.epochs=3")),
        {9: [finding(CLIP, step=9)], 10: [edit("flags.lr_too_high", "off")], 13: [edit("flags.overfitting.patience", "5")]},
    )
    flight.fly()
    history = read_history(flight.run)
    assert (history.edits[0].path, history.edits[0].live) == ("flags.lr_too_high", True)
    assert all(change.live for change in history.edits) and history.active == {}
    assert set(flight.job.recipe.flags) == {"overfitting"}
    recipe = loads(TINY)
    assert all(change.live for change in changes(recipe, edited(recipe, "flags.dead_relu", "off")))


def test_readers_keep_the_rows_they_hold_when_a_run_goes_back(runs):
    log = Logbook(new_run(loads(TINY), runs, "log", allow_code=False, command=[]))
    rows = blank(100_000, STEPS)
    rows["step"] = np.arange(1, 100_001)
    log.rows(rows, blank(0, LAYERS))
    held = read_table(log.run.table("steps"), STEPS)
    log.rewind(10, "healthy.pt")
    assert int(held["step"][-1]) == 100_000 and len(log.history.steps) == 10
    log.rows(rows[10:12], blank(0, LAYERS))
    assert log.history.steps["step"].tolist() == list(range(1, 13))
    log.ended(ev.Ended(state="stopped"))


@pytest.mark.usefixtures("early")
def test_after_a_rollback_the_best_is_of_weights_that_are_kept(runs):
    flight = orders(flight_of(runs, *quiet("train.epochs=4")), {13: [finding(LOWER, step=13)], 19: [remedy(1)]})
    flight.fly()
    history = read_history(flight.run)
    assert history.remedied[0].step == 12
    assert checkpoints.step_of(flight.run.checkpoint("best")) == history.best.step


@pytest.mark.usefixtures("early")
def test_healthy_after_a_rollback_is_what_the_record_says(runs):
    from cockpit.launch import place_of

    flight = orders(flight_of(runs, *quiet("train.epochs=4")), {12: [Command("rollback"), Command("stop")]})
    flight.fly()
    assert flight.step == 6 and not flight.run.checkpoint("healthy_before").exists()
    assert checkpoints.step_of(flight.run.checkpoint("healthy")) == 6
    assert place_of(flight.run, "healthy", flight.run.checkpoint("healthy")).step == 6


def test_before_the_flags_look_only_the_fresh_network_is_healthy(runs):
    flight = flight_of(runs, "train.epochs=10")
    flight.fly()
    events = RunReader(flight.run).poll()
    healthy = [seen.step for seen in events if isinstance(seen, ev.Checkpointed) and seen.reason == "healthy"]
    assert healthy == [0, *range(54, 61, 6)]


@pytest.mark.usefixtures("early")
def test_a_checkpoint_at_which_the_flag_had_something_to_note_is_no_refuge_from_it(runs, monkeypatch):
    from cockpit.diagnosis import Sign
    from cockpit.flags.lr_too_high import LrTooHigh

    def look(self, history):
        return Sign("info", "a little high", "") if history.step >= 9 else None

    monkeypatch.setattr(LrTooHigh, "look", look)
    flight = orders(flight_of(runs, *quiet("train.epochs=4")), {15: [finding(LOWER), remedy(1)]})
    flight.fly()
    assert read_history(flight.run).remedied[0].step == 6
