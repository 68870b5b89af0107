"""Runs that wait: paused from another terminal, by a flag or by a guard, and what each says of how it goes on."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from commands import answer, cockpit, refused
from conftest import TINY

from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import History, read_history
from cockpit.runs.mailbox import Command
from cockpit.runs.pausing import until, why_paused
from cockpit.runs.state import beat


@pytest.fixture
def training(recipe_file: str) -> Iterator[subprocess.Popen[str]]:
    words = ("train", recipe_file, "--set", "train.epochs=100000")
    with subprocess.Popen([sys.executable, "-m", "cockpit", *words], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture
def recipe_file(tmp_path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return str(path)


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """The next line that holds them; the process ends where there is none, and so does the wait."""
    assert process.stdout
    return next(line for line in process.stdout if words in line)


def test_pause_and_continue_from_another_terminal(training, runs):
    line_with(training, "parameters")
    told = answer("pause")
    assert told["state"] == "paused"
    end = f"paused at step {told['step']:,}; `cockpit continue {told['id']}` in another terminal goes on, Ctrl-C ends the run"
    assert end in line_with(training, "paused at")
    assert answer("show")["step"] == told["step"]
    assert refused("pause", told["id"]) == f"run {told['id']} (tiny): it is paused already"
    done = cockpit("continue", told["id"])
    assert done.code == 0 and done.out.startswith(f"run {told['id']} (tiny) goes on at step")
    assert line_with(training, "goes on at step").startswith("goes on")
    assert refused("continue", told["id"]) == f"run {told['id']} (tiny): it is not paused"
    assert f"`cockpit continue {told['id']}` goes on" in cockpit("pause").out
    training.send_signal(signal.SIGINT)
    line_with(training, "interrupted")
    words = f"is interrupted; `cockpit resume {told['id']}` goes on from its last checkpoint"
    assert refused("continue") == f"run {told['id']} (tiny) is not running: it {words}"


@pytest.fixture
def deaf(runs) -> RunDir:
    """A run that lives, as far as its heartbeat says, and reads no mailbox."""
    run = new_run(loads(TINY), runs, "deaf", allow_code=False, command=[])
    beat(run.heartbeat, "running", 0)
    return run


def test_a_run_that_does_not_answer(deaf):
    done = cockpit("pause", deaf.id, "--wait", "0.2")
    assert (done.code, done.err) == (1, "")
    assert "has not answered for 0.2 s; it is running at step 0, and the pause waits in its mailbox" in done.out


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("verb", ["pause", "continue", "stop"])
def test_an_order_that_finds_no_room_says_what_needs_none(deaf, verb):
    with no_room(8):
        said = refused(verb, deaf.id)
    assert said.startswith(f"run {deaf.id} (deaf) cannot be asked to {verb}: its mailbox cannot be written: File too large; ")
    assert f"`kill -TERM {os.getpid()}` asks it to end" in said
    assert list(deaf.mailbox.iterdir()) == []


def test_a_paused_run_is_not_resumed_but_continued(deaf):
    assert refused("resume") == f"run {deaf.id} (deaf) is running already; `cockpit attach {deaf.id}` shows it"
    beat(deaf.heartbeat, "paused", 0)
    assert refused("resume") == f"run {deaf.id} (deaf) is paused already; `cockpit continue {deaf.id}` goes on"


def test_the_command_finds_a_run_that_is_kept_elsewhere(deaf, monkeypatch, tmp_path):
    assert until(deaf) == f" until `cockpit continue {deaf.id}`"
    monkeypatch.setenv("COCKPIT_RUNS", str(tmp_path / "others"))
    assert until(deaf) == f" until `cockpit continue {deaf.path}`"


def test_the_screen_says_why_and_leaves_the_command_out(deaf):
    history = History()
    history.fold(ev.Noted(text=f"paused by flags.x.then{until(deaf)}: it rose"))
    assert why_paused(history) == "paused by flags.x.then: it rose"
    history.fold(ev.Noted(text=f"paused{until(deaf)}: a spike: back from step 9 to step 0, and paused there"))
    assert why_paused(history) == "paused: a spike: back from step 9 to step 0, and paused there"
    history.fold(ev.Noted(text="something else"))
    assert "a spike" in why_paused(history)


def test_a_pause_by_a_guard_says_how_it_ends(runs, monkeypatch):
    import math

    from test_guard import flight_with

    monkeypatch.setattr("cockpit.engine.logbook.settled", lambda history: True)
    steps = [9]
    flight = flight_with(runs, monkeypatch, math.nan, steps, "tricks.guard={on_nonfinite: rollback}", "flags.non_finite=off")
    listen = flight.control._listen

    def stop(crew):
        if flight.control.paused:
            flight.control.post(Command("stop"))
        return listen(crew)

    flight.control._listen = stop
    flight.fly()
    text = next(note.text for note in read_history(flight.run).notes if note.text.startswith("paused"))
    assert text.startswith(f"paused until `cockpit continue {flight.run.id}`: gradient norm nan at step 9: back from step 8")
