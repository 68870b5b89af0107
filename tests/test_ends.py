"""Every way a run can end, or not end, and what `cockpit runs` says of it."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from commands import answer
from conftest import TINY

from cockpit.host.flight import Flight
from cockpit.host.host import Host
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader
from cockpit.runs.mailbox import Command, send
from cockpit.runs.state import STALE_SECONDS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the hosts of these tests are forks of this process")
ENDLESS = ("train.epochs=100000",)
FALLS = """
import torch

class Net(torch.nn.Linear):
    def forward(self, x):
        raise ValueError("my own fault")

def build(*_):
    return Net(64, 10)
"""


class Hosted:
    """A host in a process of its own."""

    def __init__(self, run: RunDir, *, resume: bool = False) -> None:
        self.run, self.reader = run, RunReader(run)
        self.pid = os.fork()
        if not self.pid:
            _host(run, resume)

    def wait_for(self, check: Callable[[RunReader], bool]) -> None:
        """Until the reader has seen it."""
        until = time.monotonic() + 60
        while not (self.reader.poll(), check(self.reader))[1]:
            assert time.monotonic() < until, self.reader.state
            time.sleep(0.02)

    def training(self) -> None:
        self.wait_for(lambda seen: seen.history.step > 6 and seen.state == "running")

    def order(self, verb: str, **args: str) -> None:
        send(self.run.mailbox, Command(verb, args))

    def kill(self, number: int) -> None:
        os.kill(self.pid, number)

    def over(self) -> None:
        """Until the process is gone."""
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0


def _host(run: RunDir, resume: bool) -> None:
    code = 1
    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        host = Host(run, resume=resume, say=lambda text: None)
        host.catch_signals()
        host.run()
        code = 0
    finally:
        os._exit(code)


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory) -> None:
    """What the parent has imported, its forks need not."""
    torch.set_num_threads(1)
    run = new_run(loads(TINY, edits=["train.epochs=1"]), tmp_path_factory.mktemp("warm"), "warm", allow_code=False, command=[])
    Flight(run, say=lambda text: None).fly()


@pytest.fixture
def begin(runs) -> Iterator[Callable[..., Hosted]]:
    hosted: list[Hosted] = []

    def start(*edits: str, resume: RunDir | None = None) -> Hosted:
        run = resume or new_run(loads(TINY, edits=edits), runs, "test", allow_code=True, command=[])
        hosted.append(Hosted(run, resume=resume is not None))
        return hosted[-1]

    yield start
    for each in hosted:
        if each.pid:
            each.kill(signal.SIGKILL)
            each.over()


def told() -> tuple[str, str]:
    (one,) = answer("runs")
    return one["state"], one["reason"]


def test_it_trains_to_its_end(begin):
    begin("train.epochs=1").over()
    assert told() == ("finished", "")


def test_it_ends_early_on_its_own_terms(begin):
    begin(*ENDLESS, "tricks.early_stopping={patience: 1}", "optimizer.lr=0.0001").over()
    state, reason = told()
    assert state == "finished" and reason.startswith("no better validation score")


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGINT, "on Ctrl-C (SIGINT)"), (signal.SIGTERM, "on SIGTERM")])
def test_it_is_interrupted(begin, number, reason):
    host = begin(*ENDLESS)
    host.training()
    host.kill(number)
    host.over()
    assert told() == ("interrupted", reason)
    assert host.run.checkpoint("last").exists()


def test_no_file_says_why_a_run_was_stopped(begin):
    host = begin(*ENDLESS)
    host.training()
    order = {"verb": "stop", "args": {"state": "interrupted", "reason": "forged"}, "id": "a", "reason": "forged"}
    part = host.run.mailbox / ".part"
    part.write_text(json.dumps(order))
    part.rename(host.run.mailbox / "1.json")
    host.over()
    assert told() == ("interrupted", "on request")


def test_it_is_stopped_and_goes_on_to_its_end(begin):
    host = begin(*ENDLESS)
    host.training()
    host.order("stop")
    host.over()
    assert told() == ("stopped", "on request")
    again = begin(resume=host.run)
    again.training()
    assert told()[0] == "running"
    again.order("stop")
    again.over()
    assert told()[0] == "stopped"


@pytest.mark.parametrize("when", ["training", "paused", "released"])
def test_it_is_killed(begin, when):
    host = begin(*ENDLESS)
    host.training()
    if when != "training":
        host.order("pause", **({"release": "yes"} if when == "released" else {}))
        host.wait_for(lambda seen: seen.state == "paused" and seen.history.paused)
        assert told()[0] == "paused"
    host.kill(signal.SIGKILL)
    host.over()
    assert told()[0] == "lost"


def test_it_is_held_still_by_the_system_or_hung_up_on_and_lives(begin):
    host = begin(*ENDLESS)
    host.training()
    host.kill(signal.SIGHUP)
    host.kill(signal.SIGSTOP)
    time.sleep(0.3)
    assert told()[0] == "running", "a suspended process is not a dead one"
    host.kill(signal.SIGCONT)
    before = host.reader.history.step
    host.wait_for(lambda seen: seen.history.step > before)


def test_it_is_killed_before_its_first_heartbeat(begin):
    host = begin(*ENDLESS)
    host.kill(signal.SIGKILL)
    host.over()
    if not host.run.heartbeat.exists():
        assert told()[0] == "new", "a host needs a moment until it beats"
        old = time.time() - STALE_SECONDS - 1
        os.utime(host.run.recipe, (old, old))
    assert told()[0] == "lost"


def test_its_network_raises(begin, tmp_path):
    path = tmp_path / "net.py"
    path.write_text(FALLS)
    begin(f"model={{name: file, path: {path}}}").over()
    state, reason = told()
    assert state == "failed" and "my own fault" in reason


def test_its_loss_leaves_the_numbers(begin):
    begin("optimizer.lr=20", "train.epochs=50", "model.widths=[64, 64, 64, 64]").over()
    state, reason = told()
    assert state == "failed" and reason.startswith("the loss became")
