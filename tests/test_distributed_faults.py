"""torchrun, for real: processes that are killed, started again, told to stop; what is left is true."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from conftest import TINY
from crew_kit import train_together

from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.directory import list_runs
from cockpit.runs.history import RunReader, read_history
from cockpit.runs.mailbox import Command, send

LONG = ("train.epochs=60", "tricks={dropout: {p: 0.2}}")


@pytest.fixture
def torchrun(runs, tmp_path):
    started = []

    def start(*options, edits=LONG):
        recipe = tmp_path / "r.yaml"
        recipe.write_text(TINY)
        sets = [word for edit in edits for word in ("--set", edit)]
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *options]
        started.append(
            subprocess.Popen(
                [sys.executable, *command, "-m", "cockpit", "train", str(recipe), *sets],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(what, seconds=120):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)
    return found


def under_way(runs):
    """The run, once it has a checkpoint of its own."""

    def found():
        all_runs = list_runs(runs) if runs.exists() else []
        return all_runs[0] if all_runs and all_runs[0].checkpoint("last").exists() else None

    return wait_for(found)


def workers(agent):
    """The processes that torchrun started, by rank."""
    children = psutil.Process(agent.pid).children()
    return {int(child.environ().get("RANK", -1)): child for child in children}


def weights(run):
    return torch.load(run.checkpoint("last"), weights_only=True)["model"]


def test_a_killed_process_is_started_again_and_the_run_goes_on_to_the_bit(torchrun, runs, tmp_path):
    agent = torchrun("--max-restarts=1")
    run = under_way(runs)
    workers(agent)[1].kill()
    assert agent.wait(180) == 0
    assert list_runs(runs) == [run]
    history = read_history(run)
    assert history.ended.state == "finished"
    events = [json.loads(line) for line in run.events.read_text().splitlines()]
    assert [event["kind"] for event in events].count("launched") == 2
    assert any(event["kind"] == "resumed" and event["step"] > 0 for event in events)
    straight = new_run(loads(TINY, edits=LONG), tmp_path / "straight", "straight", allow_code=False, command=[])
    train_together(straight)
    ours, theirs = weights(run), weights(straight)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert history.steps["loss"].tolist() == read_history(straight).steps["loss"].tolist()


def test_without_restarts_the_run_has_failed_and_says_so(torchrun, runs):
    agent = torchrun(edits=("train.epochs=5000",))
    run = under_way(runs)
    workers(agent)[1].kill()
    assert agent.wait(120) != 0
    reader = RunReader(run)
    reader.poll()
    assert reader.state == "failed" and "another process of this run has ended" in reader.history.ended.reason


@pytest.mark.parametrize("how", ["mailbox", "SIGTERM"])
def test_it_ends_with_a_checkpoint_when_asked(torchrun, runs, how):
    agent = torchrun(edits=("train.epochs=5000",))
    run = under_way(runs)
    crew = list(workers(agent).values())
    send(run.mailbox, Command("stop")) if how == "mailbox" else agent.send_signal(signal.SIGTERM)
    code = agent.wait(60)
    ended = read_history(run).ended
    assert ended.state == ("stopped" if how == "mailbox" else "interrupted")
    assert torch.load(run.checkpoint("last"), weights_only=True)["step"] == ended.step
    assert how == "SIGTERM" or code == 0
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in crew)
