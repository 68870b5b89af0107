"""What heartbeats prove: process ids used again, reboots, other machines, wrong clocks."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest

from cockpit.runs import state as states
from cockpit.runs.directory import create
from cockpit.runs.state import STALE_SECONDS, beat, birth, machine, read_heartbeat, state_of


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(states, "_heard", {})
    return create(tmp_path, "one", "about: x\n", {})


def put(run, **changed) -> None:
    beat(run.heartbeat, "running", 3)
    run.heartbeat.write_text(json.dumps(asdict(read_heartbeat(run.heartbeat)) | changed))


def test_a_process_is_known_by_its_birth_and_not_by_the_time_of_day(run, monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = birth(child.pid)
    put(run, pid=child.pid, born=born)
    monkeypatch.setattr(time, "time", lambda: 0.0)  # a clock that jumped
    assert state_of(run) == "running"
    put(run, pid=child.pid, born=born - 1)
    assert state_of(run) == "lost", "another process has this id now"
    put(run, pid=child.pid, born=born)
    child.kill()
    while birth(child.pid) == birth(child.pid):  # not NaN
        time.sleep(0.01)
    assert state_of(run) == "lost", "a dead process that nobody has waited for"
    child.communicate()
    assert state_of(run) == "lost"


def test_after_a_reboot_the_same_process_id_proves_nothing(run):
    put(run, machine="another boot/" + machine().partition("/")[2], time=time.time() - 2 * STALE_SECONDS)
    assert state_of(run) == "lost"


def test_a_host_on_another_machine_lives_while_it_is_heard_of(run, monkeypatch):
    put(run, machine="elsewhere", pid=999_999)
    assert state_of(run) == "running"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + STALE_SECONDS + 1)
    assert state_of(run) == "lost", "silent since the first look"
    put(run, machine="elsewhere", pid=999_999, time=5.0)
    assert state_of(run) == "running", "it was heard of again, whatever its clock says"


def test_an_old_beat_of_another_machine_is_lost_at_once(run):
    put(run, machine="elsewhere", time=time.time() - STALE_SECONDS - 5)
    assert state_of(run) == "lost"


@pytest.mark.parametrize("living", [True, False])
def test_where_the_clocks_disagree_a_second_beat_tells(run, living):
    hour = time.time() + 3600
    put(run, machine="elsewhere", time=hour)
    again = threading.Timer(0.4, put, (run,), {"machine": "elsewhere", "time": hour + 1})
    if living:
        again.start()
    assert state_of(run) == ("running" if living else "lost")


def test_a_beat_is_of_the_process_that_made_it(run):
    beat(run.heartbeat, "paused", 7)
    pulse = read_heartbeat(run.heartbeat)
    assert (pulse.pid, pulse.machine, pulse.state, pulse.step) == (os.getpid(), machine(), "paused", 7)
    assert state_of(run) == "paused"
