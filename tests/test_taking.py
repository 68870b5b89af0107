"""Hosts in the background: of two resumed at once one holds the run, and one that falls, or cannot be started, is told of."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from commands import answer, cockpit, refused
from conftest import TINY

from cockpit.cli import flying
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs import events as ev
from cockpit.runs import launch
from cockpit.runs.directory import RunDir, list_runs
from cockpit.runs.launch_facts import say_facts
from cockpit.runs.state import STALE_SECONDS, read_heartbeat

left_running = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture
def lost(runs) -> RunDir:
    """A run whose host never came; resumed, it does not end by itself."""
    run = new_run(loads(TINY, edits=["train.epochs=100000"]), runs, "lost", allow_code=False, command=[])
    old = time.time() - STALE_SECONDS - 1
    os.utime(run.recipe, (old, old))
    return run


@pytest.fixture
def spawn(monkeypatch) -> Iterator[Callable[..., int]]:
    """Hosts as they are started, and ended with the test."""
    begun, real = [], launch.spawn

    def started(run: RunDir, *, resume: bool = False) -> int:
        begun.append(real(run, resume=resume))
        return begun[-1]

    monkeypatch.setattr(launch, "spawn", started)
    yield started
    for pid in begun:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):  # it has ended
            pass


def holder(run: RunDir) -> int:
    pulse = read_heartbeat(run.heartbeat)
    return pulse.pid if pulse else 0


@left_running
def test_a_resumed_run_is_held_by_the_process_that_is_named(lost, spawn):
    assert answer("resume")["pid"] == holder(lost)


@left_running
def test_of_two_resumed_at_once_one_goes_on(lost, spawn, monkeypatch):
    first = []

    def both(run: RunDir, *, resume: bool) -> int:
        first.append(spawn(run, resume=resume))
        until = time.monotonic() + 60
        while holder(run) != first[0]:
            assert time.monotonic() < until
            time.sleep(0.02)
        return spawn(run, resume=resume)

    monkeypatch.setattr(launch, "spawn", both)
    assert refused("resume", lost.id) == f"run {lost.id} (lost) is held by process {first[0]} already"
    assert holder(lost) == first[0]


def test_a_host_that_falls_at_once_is_told_of(lost, monkeypatch):
    def falls(run: RunDir, *, resume: bool) -> int:
        process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
        process.wait()
        return process.pid

    monkeypatch.setattr(launch, "spawn", falls)
    done = cockpit("resume", lost.id)
    assert (done.code, done.out) == (1, "") and "does not go on: process " in done.err and "host.log says why" in done.err


def test_an_agent_of_several_processes_is_not_waited_for(lost, monkeypatch):
    say_facts(lost, gpus=2)
    monkeypatch.setattr(launch, "spawn", lambda run, *, resume: os.getpid())
    monkeypatch.setattr("cockpit.cli.taking.time.sleep", lambda _: pytest.fail("it waits"))
    assert answer("resume")["pid"] == os.getpid()


def test_a_start_that_fails_leaves_no_run(runs, tmp_path, monkeypatch):
    def full(run: RunDir, *, resume: bool = False) -> int:
        raise OSError(28, "No space left on device", str(run.log))

    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    monkeypatch.setattr(launch, "spawn", full)
    assert refused("start", str(path)).endswith("host.log: No space left on device")
    assert list_runs(runs) == []


@pytest.mark.parametrize(("state", "reason", "rings"), [("interrupted", "on SIGTERM", 0), ("finished", "", 1)])
def test_who_interrupts_a_run_needs_no_bell(runs, lost, monkeypatch, state, reason, rings):
    rung = []
    monkeypatch.setattr("cockpit.ui.notices.ring_the_end", lambda name, end: rung.append(name))
    monkeypatch.setattr("cockpit.host.host.Host.run", lambda self, idle: ev.Ended(state=state, reason=reason))
    with pytest.raises(flying.typer.Exit):
        flying.fly(lost, resume=False, json=False)
    assert len(rung) == rings
