"""What a training spends its time on: the stages against a clock of our own, and on their way to the screen."""

import time

import pytest
import torch
from conftest import TINY

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine import stages as module
from cockpit.engine.assemble import assemble
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.engine.stages import Stages
from cockpit.host.machine import MachineLog
from cockpit.recipe import loads
from cockpit.runs.history import read_history
from cockpit.runs.tables import STAGES
from cockpit.ui.model.run import machine


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def slow(clock, seconds, call):
    """The same call, that takes so long."""

    def slowed(*args, **kwargs):
        clock.now += seconds
        return call(*args, **kwargs)

    return slowed


def test_each_stage_is_given_its_own_time(clock, monkeypatch):
    job, _ = assemble(loads(TINY, edits=("tricks={sam: on}",)), Places(root=data_root()))
    monkeypatch.setattr(job, "batches", slow(clock, 1, job.batches))
    monkeypatch.setattr(job, "objective", slow(clock, 10, job.objective))
    monkeypatch.setattr(job, "descend", slow(clock, 100, job.descend))
    monkeypatch.setattr(job.optimizer, "step", slow(clock, 1000, job.optimizer.step))
    recorder = Recorder(lambda *_: None)
    monkeypatch.setattr(recorder, "step", slow(clock, 10_000, recorder.step))
    for places in list(job.rest_of_epoch())[:3]:
        take_step(job, places, recorder)
    job.stages.enter("record")
    spent = job.stages.seconds()
    # SAM makes both passes twice, the second time in the midst of its step.
    assert spent == {
        "data": 3, "wait": 0, "forward": 60, "backward": 600, "optimizer": 3000, "record": 30_000, "evaluation": 0,
    }  # fmt: skip


def test_a_pause_is_no_stage_and_waiting_leaves_the_stage_that_waited(clock):
    stages = Stages()
    stages.step(sampled=True)
    clock.now += 5
    stages.waited(3)
    stages.enter("paused")
    clock.now += 1000
    stages.enter("record")
    spent = stages.seconds()
    assert (spent["data"], spent["wait"], sum(spent.values())) == (2, 3, 5)


def test_the_split_is_recorded_and_shown(runs, fly):
    flight = fly(TINY)
    spent = dict.fromkeys(STAGES, 0.0)
    log = MachineLog(flight.run, lambda: dict(spent))
    for more in ({"forward": 3.0, "backward": 1.0}, {}, {"data": 1.0, "wait": 1.0}):
        spent = {stage: spent[stage] + more.get(stage, 0.0) for stage in STAGES}
        log._next = 0.0
        log.tick()
    log.close()
    rows = read_history(flight.run).machine[-3:]
    assert rows["forward"].tolist() == [75, 75, 0] and rows["wait"].tolist() == [0, 0, 50]
    assert any("data 50, wait 50" in line for line in machine(read_history(flight.run)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_is_measured_by_its_own_clock():
    stages = Stages("cuda")
    x = torch.randn(4096, 4096, device="cuda")
    for _ in range(3):
        stages.step(sampled=True)
        stages.enter("forward")
        for _ in range(20):
            x = (x @ x).clamp(-1, 1)
        stages.enter("backward")
        stages.enter("record")
        torch.cuda.synchronize()
        time.sleep(0.01)
    assert stages.device["forward"] > 10 * stages.device["backward"]
