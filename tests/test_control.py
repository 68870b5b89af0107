"""Commands to a running training: obeyed between two steps, acknowledged, recorded."""

import threading
import time

import torch
from conftest import TINY

from cockpit.host.flight import Flight
from cockpit.host.host import Host
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs import events as ev
from cockpit.runs.history import RunReader, read_history
from cockpit.runs.mailbox import Command, send


def flight_of(runs, *edits):
    run = new_run(loads(TINY, edits=edits), runs, "test", allow_code=False, command=[])
    return Flight(run, say=lambda text: None)


def order_at(flight, orders):
    """Post commands after given steps, as a mailbox would."""
    obey = flight.control.obey

    def counting(job, recorder, keeper):
        for command in orders.pop(job.step, ()):
            flight.control.post(command)
        return obey(job, recorder, keeper)

    flight.control.obey = counting
    return flight


def edit(path, value):
    return Command("edit", {"path": path, "value": value})


def test_a_paused_run_waits_and_goes_on_where_it_was(runs):
    flight = order_at(flight_of(runs, "train.epochs=4"), {3: [Command("pause")]})
    thread = threading.Thread(target=flight.fly)
    thread.start()
    reader = RunReader(flight.run)
    while not reader.history.paused:
        reader.poll()
        time.sleep(0.02)
    assert flight.step == 3
    flight.control.post(Command("pause"))
    flight.control.post(Command("checkpoint"))
    while len(reader.history.commands) < 3:
        reader.poll()
        time.sleep(0.02)
    assert thread.is_alive() and flight.step == 3
    assert [(seen.verb, seen.ok, seen.detail) for seen in reader.history.commands] == [
        ("pause", True, ""),
        ("pause", False, "it is paused already"),
        ("checkpoint", True, ""),
    ]
    assert torch.load(flight.run.checkpoint("last"), weights_only=True)["step"] == 3
    flight.control.post(Command("continue"))
    thread.join(timeout=60)
    assert flight.end.state == "finished"
    history = read_history(flight.run)
    assert history.steps["step"].tolist() == list(range(1, 25)) and not history.paused


def test_a_paused_run_can_be_stopped(runs):
    flight = order_at(flight_of(runs), {2: [Command("pause"), Command("stop")]})
    flight.fly()
    assert (flight.end.state, flight.end.step) == ("stopped", 2)


def test_a_live_edit_holds_from_the_next_step_on_and_survives_a_resume(runs):
    flight = order_at(
        flight_of(runs, "train.epochs=3", "optimizer.weight_decay=0.1", "tricks.no_decay_1d=on"),
        {5: [edit("optimizer.lr", "0.01"), edit("optimizer.weight_decay", "0.2")], 8: [Command("stop")]},
    )
    flight.fly()
    history = read_history(flight.run)
    assert [(change.path, change.new, change.live) for change in history.edits] == [
        ("optimizer.lr", "0.01", True),
        ("optimizer.weight_decay", "0.2", True),
    ]
    rates = [round(float(rate), 6) for rate in history.steps["lr"]]
    assert rates == [0.1] * 5 + [0.01] * 3
    assert [group["weight_decay"] for group in flight.job.optimizer.param_groups] == [0.2, 0.0]
    second = Flight(flight.run, resume=True, say=print)
    second.fly()
    assert second.end.state == "finished"
    assert [round(float(rate), 6) for rate in read_history(flight.run).steps["lr"]] == [0.1] * 5 + [0.01] * 13
    assert [group["weight_decay"] for group in second.job.optimizer.param_groups] == [0.2, 0.0]


def test_an_edit_that_cannot_be_live_waits_and_changes_nothing(runs):
    flight = order_at(flight_of(runs), {4: [edit("model.widths", "[8]"), edit("optimizer", "adam")]})
    flight.fly()
    history = read_history(flight.run)
    assert {change.path: change.live for change in history.edits}.items() >= {("model.widths", False), ("optimizer", False)}
    assert [seen.detail for seen in history.commands] == ["it waits for the next run"] * 2
    assert flight.job.recipe.model.widths == (16,)


def test_an_edit_that_is_wrong_is_refused_with_a_sentence(runs):
    flight = order_at(flight_of(runs), {1: [edit("optimizer.lr", "fast"), edit("optimzer.lr", "1")]})
    flight.fly()
    assert flight.end.state == "finished"
    refused = read_history(flight.run).commands
    assert [seen.ok for seen in refused] == [False, False]
    assert "expected a number" in refused[0].detail and "optimizer" in refused[1].detail


def test_the_host_hears_the_mailbox_and_tells_its_state(runs):
    flight = flight_of(runs, "train.epochs=100000")
    host = Host(flight.run, say=lambda text: None)
    thread = threading.Thread(target=host.run)
    thread.start()
    reader = RunReader(flight.run)

    def wait_for(check):
        until = time.monotonic() + 60
        while not check():
            assert time.monotonic() < until
            reader.poll()
            time.sleep(0.05)

    wait_for(lambda: reader.history.step > 0 and reader.state == "running")
    send(flight.run.mailbox, Command("pause"))
    (flight.run.mailbox / "1.json").write_text("no command")
    wait_for(lambda: reader.state == "paused")
    send(flight.run.mailbox, Command("stop"))
    thread.join(timeout=60)
    assert reader.poll() and reader.state == "stopped"
    assert isinstance(reader.history.ended, ev.Ended)
    assert len(reader.history.machine) > 0
