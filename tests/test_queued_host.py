"""A job of submitit's own local queue: what the queue takes away goes on in the same run, as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from commands import answer, cockpit

from cockpit.host.queued import QueuedHost, newest
from cockpit.runs.directory import RunDir, find
from cockpit.runs.history import RunReader, read_history
from cockpit.runs.launch_facts import say_facts
from cockpit.runs.queue import job_of
from cockpit.runs.state import read_heartbeat

LONG = """
about: a test
data: {source: digits}
model: {name: mlp, widths: [16], norm: none}
optimizer: {name: sgd, lr: 0.02, momentum: 0.9}
schedule: constant
train: {epochs: 5, batch_size: 8, device: cpu, precision: fp32}
tricks: {dropout: {p: 0.2}}
"""
"""Some 800 steps."""


def wait_for(what, seconds: float = 120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def start(recipe, *more: str) -> dict:
    """Hand a recipe in from a process of its own, which the job outlives."""
    words = [sys.executable, "-m", "cockpit", "start", str(recipe), "--queue", "local", "-o", "time=30", "--json", *more]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "long.yaml"
    path.write_text(LONG)
    return path


class Watch:
    """What a run's directory says, and how often it was launched."""

    def __init__(self, run: RunDir) -> None:
        self.run, self.reader = run, RunReader(run)
        self.events = []

    def poll(self):
        self.events += self.reader.poll()
        return self

    def has_done(self, step: int, launches: int) -> bool:
        """Whether the host of that launch is past a step."""
        self.poll()
        assert self.reader.history.ended is None or self.reader.history.ended.state == "interrupted"
        started = [event for event in self.events if event.kind == "started"]
        return len(started) == launches and len(self.reader.history.steps) > 0 and self.reader.history.step > step

    def of(self, kind: str) -> list:
        return [event for event in self.events if event.kind == kind]


def test_what_the_queue_cuts_off_goes_on_to_the_very_same_weights(fly, recipe, runs):
    told = start(recipe)
    run = find(runs, told["id"])
    watch = Watch(run)
    assert told["queue"] == "local" and watch.reader.state in ("new", "starting")
    wait_for(lambda: watch.has_done(50, launches=1))
    assert answer("show")["queue"] == {"name": "local", "job": told["job"], "state": "running"}
    os.kill(read_heartbeat(run.heartbeat).pid, signal.SIGUSR2)  # what Slurm sends before the time limit
    wait_for(lambda: watch.poll().of("ended"))
    first = watch.of("ended")[0].step
    wait_for(lambda: watch.has_done(first + 50, launches=2))
    for _ in range(2):  # what Slurm sends to a job that is preempted, and more than once
        os.kill(read_heartbeat(run.heartbeat).pid, signal.SIGTERM)
    wait_for(lambda: len(watch.poll().of("ended")) == 2)
    wait_for(lambda: watch.poll().reader.state == "finished")
    ended = watch.of("ended")
    assert [end.state for end in ended] == ["interrupted", "interrupted", "finished"]
    assert 0 < ended[0].step < ended[1].step < ended[2].step
    assert [event.step for event in watch.of("resumed")] == [end.step for end in ended[:2]]
    assert answer("show")["queue"] is None
    undisturbed = fly(LONG).run
    ours, theirs = (torch.load(one.checkpoint("last"), weights_only=True) for one in (run, undisturbed))
    assert ours["step"] == theirs["step"] == ended[2].step
    for part in ("model", "optimizer"):
        assert _same(ours[part], theirs[part])
    seen = [[(one.step, one.val_loss, one.train_loss) for one in read_history(r).evaluations] for r in (run, undisturbed)]
    assert seen[0] == seen[1]


def _same(ours, theirs) -> bool:
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(_same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return ours == theirs


def test_a_job_whose_run_was_stopped_is_done(recipe, runs):
    stopped = find(runs, start(recipe, "--set", "train.epochs=900")["id"])
    done = cockpit("stop", stopped.id, "--wait", "120")
    assert done.code == 0 and "is stopped" in done.out
    (pickle,) = (stopped.path / "queue").glob("*_submitted.pkl")
    result = pickle.with_name(pickle.name.replace("submitted", "0_result"))
    wait_for(result.exists)  # submitit's word that the job is done
    assert len([line for line in stopped.events.read_text().splitlines() if '"launched"' in line]) == 1


def test_submitit_is_given_the_same_host_again(tmp_path):
    again = QueuedHost(tmp_path, resume=True).checkpoint()
    assert isinstance(again.function, QueuedHost) and (again.function.run, again.function.resume) == (tmp_path, True)


def test_a_job_follows_its_run_into_the_one_that_goes_on_in_its_place(tmp_path):
    first, second = (RunDir(tmp_path / name) for name in ("a_b_first_0001", "a_b_second_0002"))
    for run in (first, second):
        run.path.mkdir()
    said = {"queue": "slurm", "id": "7", "time": 1.0, "born": float("nan"), "machine": ""}
    say_facts(second, queue=said)
    say_facts(first, queue={**said, "onward": str(second.path)})
    assert newest(first).path == second.path
    assert job_of(first) is None and job_of(second).id == "7"
