"""Pauses that give the device back, and checkpoints between epochs: on a signal, every so many minutes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from commands import answer, cockpit, refused
from conftest import TINY

from cockpit.engine.keeper import Keeper
from cockpit.host.flight import Flight
from cockpit.host.host import Host
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.history import RunReader, read_history
from cockpit.runs.mailbox import Command, send
from cockpit.runs.state import read_heartbeat, state_of

RELEASE = Command("pause", {"release": "yes"})


def run_of(runs, *edits):
    return new_run(loads(TINY, edits=edits), runs, "test", allow_code=False, command=[])


def wait_for(check, seconds=90):
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until
        time.sleep(0.05)


def weights(run):
    return torch.load(run.checkpoint("last"), weights_only=True)["model"]


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


class InThread:
    """A host in a thread of this process, as the application has it."""

    def __init__(self, run, at=None):
        self.host = Host(run, say=lambda text: None)
        obey = self.host.flight.control.obey

        def obeying(job, recorder, keeper):
            for command in (at or {}).pop(job.step, ()):
                self.host.flight.control.post(command)
            return obey(job, recorder, keeper)

        self.host.flight.control.obey = obeying
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        self.end = self.host.run()


def test_a_released_run_goes_on_as_if_it_had_never_waited(runs):
    whole = Flight(run_of(runs, "train.epochs=4"), say=lambda text: None)
    whole.fly()
    run = run_of(runs, "train.epochs=4")
    flown = InThread(run, {9: [RELEASE, Command("checkpoint", id="late")]})
    reader = RunReader(run)
    wait_for(lambda: reader.poll() and any(seen.id == "late" for seen in reader.history.commands))
    assert flown.host.flight.job is None, "nothing of the training is left in memory"
    assert reader.history.paused and reader.history.released and state_of(run) == "paused"
    send(run.mailbox, Command("edit", {"path": "optimizer.lr", "value": "1"}))
    wait_for(lambda: reader.poll() and reader.history.commands[-1].verb == "edit")
    assert not reader.history.commands[-1].ok and "continue it first" in reader.history.commands[-1].detail
    send(run.mailbox, Command("continue"))
    flown.thread.join(timeout=90)
    assert flown.end.state == "finished" and same(weights(run), weights(whole.run))
    ours, theirs = read_history(run), read_history(whole.run)
    assert ours.steps["loss"].tolist() == theirs.steps["loss"].tolist() and not ours.paused and not ours.released
    assert [seen.val_loss for seen in ours.evaluations] == [seen.val_loss for seen in theirs.evaluations]


def test_a_released_run_can_be_stopped(runs):
    run = run_of(runs)
    flown = InThread(run, {3: [RELEASE, Command("stop")]})
    flown.thread.join(timeout=90)
    assert (flown.end.state, flown.end.step) == ("stopped", 3)
    assert state_of(run, read_history(run).ended.state) == "stopped"


def test_a_device_is_not_given_back_for_a_checkpoint_that_was_not_written(runs, monkeypatch):
    run = run_of(runs)
    save = Keeper.save_last
    monkeypatch.setattr(Keeper, "save_last", lambda keeper, job, why: why != "released" and save(keeper, job, why))
    flown = InThread(run, {3: [RELEASE]})
    flown.thread.join(timeout=90)
    history = read_history(run)
    assert flown.end.state == "finished" and not history.commands[0].ok and not history.paused


def test_a_background_host_shrinks_to_a_process_without_torch(tmp_path, runs):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY)
    words = [sys.executable, "-m", "cockpit", "start", str(recipe), "--set", "train.epochs=100000", "--json"]
    told = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    run = Path(told["dir"])
    wait_for(lambda: answer("show")["step"] > 0)

    def has_torch():
        return "libtorch" in Path(f"/proc/{told['pid']}/maps").read_text()

    if Path("/proc/self/maps").exists():
        assert has_torch()
    assert answer("pause", "--release")["state"] == "paused"
    pulse = read_heartbeat(run / "heartbeat")
    wait_for(lambda: read_heartbeat(run / "heartbeat").time > pulse.time)
    assert read_heartbeat(run / "heartbeat").pid == told["pid"], "it is still the process that the user was told of"
    if Path("/proc/self/maps").exists():
        assert not has_torch()
    assert "is paused already" in refused("resume")
    step = answer("show")["step"]
    cockpit("continue")
    wait_for(lambda: answer("show")["step"] > step)
    os.kill(told["pid"], signal.SIGUSR1)
    kept = run / "checkpoints" / "last.pt"
    wait_for(lambda: "asked" in [json.loads(line).get("reason") for line in (run / "events.jsonl").read_text().splitlines()])
    assert kept.exists()
    cockpit("pause", "--release")
    os.kill(told["pid"], signal.SIGTERM)
    wait_for(lambda: answer("show")["state"] == "interrupted")


@pytest.mark.parametrize("minutes", [0.05, 10])
def test_a_checkpoint_comes_every_so_many_minutes_of_training(runs, monkeypatch, minutes):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    flight = Flight(run_of(runs, "train.epochs=1", f"train.checkpoint_minutes={minutes}"), say=lambda text: None)
    obey = flight.control.obey

    def obeying(*crew):
        now[0] += 2.0
        return obey(*crew)

    flight.control.obey = obeying
    flight.fly()
    written = [(seen.step, seen.reason) for seen in read_history(flight.run).checkpoints if seen.path.endswith("last.pt")]
    assert written == ([(2, "minutes"), (4, "minutes")] if minutes < 1 else []) + [(6, "epoch"), (6, "end")]
