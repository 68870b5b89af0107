"""What cannot be watched costs records alone: networks that cannot be looked into, and run directories that are gone."""

import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_watch import data, loop, network, recorded
from torch import nn

from cockpit import watch
from cockpit.engine.units import unit_rows, watch_activity
from cockpit.runs.directory import RunError, list_runs
from cockpit.runs.history import read_history
from cockpit.watch.desk import Desk
from cockpit.watch.overheard import Overheard

CE = nn.functional.cross_entropy


def scripted(way: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = network(noisy=way == "script")
        return torch.jit.script(net) if way == "script" else torch.jit.trace(net, torch.zeros(2, 8))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", ["script", "trace"])
@pytest.mark.parametrize("probed", [True, False])
def test_torchscript_is_watched_as_far_as_it_goes(way: str, probed: bool, capfd: pytest.CaptureFixture[str]) -> None:
    x, y = data()
    torch.manual_seed(0)
    net = scripted(way)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with watch(net, optimizer, probe=(x, y) if probed else None) as run:
        Overheard(net, run).remove()
        loop(run, net, optimizer, CE, x, y)
    history = read_history(run.dir)
    assert history.ended and history.ended.state == "finished"
    assert len(history.steps) == 20 and (history.steps["grad_norm"] > 0).all() and (history.steps["stale"] == 0).all()
    assert history.evaluations[-1].val_accuracy > 0.8
    said = capfd.readouterr().err
    assert said.count("calls of the network cannot be heard") == said.count("cannot be told apart") == (way == "script")
    assert not probed or history.evaluations[-1].probe_size == 320


def test_buffers_of_torchscript_stay(runs: Path) -> None:
    ends = []
    x, y = data()
    for alone in (True, False):
        torch.manual_seed(3)
        net = scripted("script")
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        if alone:
            loop(None, net, optimizer, CE, x, y)
        else:
            with watch(net, optimizer, probe=(x, y)) as run:
                loop(run, net, optimizer, CE, x, y)
        ends.append([*net.state_dict().values(), torch.get_rng_state()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


class Deaf(torch.optim.SGD):
    """An optimizer, and as a mixin a network, that takes no hooks."""

    def register_step_pre_hook(self, *_: Any) -> Any:
        raise NotImplementedError("no hooks")

    register_step_post_hook = register_step_pre_hook


def test_an_optimizer_that_takes_no_hooks(capfd: pytest.CaptureFixture[str]) -> None:
    x, y = data()
    net = network()
    optimizer = Deaf(net.parameters(), lr=0.05)
    with watch(net, optimizer) as run:
        loop(run, net, optimizer, CE, x, y)
    history = read_history(run.dir)
    assert len(history.steps) == 20 and np.isnan(history.steps["update_ratio"]).all(), "a change of 0 would be a false finding"
    assert capfd.readouterr().err.count("updates cannot be heard") == 1


@pytest.mark.parametrize("trained", ["nothing", "biases", "thawed"])
def test_frozen_weights(trained: str) -> None:
    """Nothing that asks for gradients, or only vectors, or what the loop thaws later."""
    x, y = data()
    net = network(noisy=False).requires_grad_(False)
    if trained == "biases":
        net[2].bias.requires_grad_(True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with watch(net, optimizer) as run:
        for number in range(12):
            if trained == "thawed" and number == 4:
                net.requires_grad_(True)
            optimizer.zero_grad()
            outputs = net(x)
            loss = CE(outputs, y)
            if loss.requires_grad:
                loss.backward()
            optimizer.step()
            run.step(loss, outputs, y)
    rows = recorded(run).steps
    assert len(rows) == 12 and (rows["grad_norm"] > 0).tolist() == [
        trained == "biases" or (trained == "thawed" and n > 3) for n in range(12)
    ]
    assert trained != "biases" or (rows["stale"] == 0).all()


@pytest.mark.parametrize("fails", [RuntimeError, OSError, KeyboardInterrupt])
def test_a_start_that_fails_leaves_no_run(fails: type[BaseException], monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    def broken(*_: Any) -> None:
        raise fails(28, "nothing doing")

    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=1)
    monkeypatch.setattr(Desk, "open", broken)
    with pytest.raises(RunError if fails is OSError else fails, match="nothing doing"), watch(net, optimizer):
        pass
    assert list(runs.iterdir()) == []


def test_an_interrupt_at_the_first_look_is_the_end_of_a_run(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    class Slow(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyboardInterrupt

    x, y = data()
    net = Slow(8, 4)
    with pytest.raises(KeyboardInterrupt), watch(net, torch.optim.SGD(net.parameters(), lr=1), probe=(x, y)):
        pass
    (run,) = list_runs(runs)
    ended = read_history(run).ended
    assert ended and ended.state == "interrupted" and not net._forward_pre_hooks


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_directory_that_is_removed(paused: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """Said once; and a pause that nobody could end is over."""
    x, y = data()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with watch(net, optimizer, probe=(x, y)) as run:
        loop(run, net, optimizer, CE, x, y)
        shutil.rmtree(run.dir.path)
        if paused:
            run._orders.paused = True
            run._orders.obey(20)
        loop(run, net, optimizer, CE, x, y)
        until = time.monotonic() + 20
        while not run._desk.gone:
            assert time.monotonic() < until
            time.sleep(0.02)
        loop(run, net, optimizer, CE, x, y)
        assert not net._forward_pre_hooks and run.step(1.0)
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "is gone: nothing of this run is recorded any more" in said
    assert not run.dir.path.exists()


def test_complex_weights(recwarn: pytest.WarningsRecorder) -> None:
    """Against numpy; torch warns where the imaginary part is dropped, and warnings are errors here."""

    class Waves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(8, 16, dtype=torch.cfloat), nn.Linear(16, 4, dtype=torch.cfloat)
            self.tanh = nn.Tanh()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.outer(self.tanh(self.inner(x.to(torch.cfloat))))

    x, y = data()
    torch.manual_seed(0)
    net = Waves()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with watch(net, optimizer, probe=(x.to(torch.cfloat), y)) as run:
        for _ in range(5):
            optimizer.zero_grad()
            outputs = net(x).abs()
            loss = CE(outputs, y)
            loss.backward()
            optimizer.step()
            run.step(loss, outputs, y)
        run.evaluate(outputs, y)
    assert len(recorded(run).steps) == 5
    with watch_activity(net) as activity:
        rows = unit_rows(net, activity, 0)
    weight = net.inner.weight.detach().numpy()
    assert rows["weight_std"][0] == pytest.approx(np.std(weight, ddof=1), rel=1e-4)
    unit = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    cosines = (unit @ unit.conj().T).real
    assert rows["alike"][0] == pytest.approx(cosines[~np.eye(len(unit), dtype=bool)].mean(), abs=1e-5)
