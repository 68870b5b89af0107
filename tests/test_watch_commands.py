"""`cockpit.watch`: its arguments, how it ends, and the commands that a loop obeys."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import answer, cockpit
from test_watch import data, loop, network, recorded, watched
from torch import nn

from cockpit import watch
from cockpit.runs.directory import find
from cockpit.runs.history import read_history
from cockpit.runs.mailbox import Command, send
from cockpit.runs.state import state_of

CE = nn.functional.cross_entropy


OTHER = network()
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, "epochs must be a whole number above 0"),
    ({"every": 2.5}, "every must be a whole number"),
    ({"classes": 1}, "classes must be the names"),
    ({"criterion": 3}, "criterion must be what the loop calls"),
    ({"probe": torch.zeros(3)}, "probe must be"),
    ({"probe": (torch.zeros(3, 8), torch.zeros(2))}, "one target for each"),
    ({"criterion": nn.CrossEntropyLoss}, r"criterion is the class CrossEntropyLoss; .*, such as CrossEntropyLoss\(\)"),
    ({"flags": {"overfittin": False}}, r"^watch: flags=\.\.\.: unknown flag .* did you mean 'overfitting'"),
    ({"flags": {"overfitting": {"patience": 0}}}, r"^watch: flags=\.\.\.: overfitting\.patience: expected"),
    ({"flags": [1]}, "flags must be a mapping"),
    ({"flags": {1: False}}, "has the key 1"),
    ({"runs": 5}, "runs must be a folder, as text or a path, not 5"),
    ({"runs": b"runs"}, "runs must be a folder"),
    ({"optimizer": None}, "optimizer must be"),
    ({"optimizer": torch.optim.SGD(OTHER.parameters(), lr=1)}, "optimizer holds no weight of model"),
    ({"model": OTHER, "optimizer": [torch.optim.SGD(network().parameters(), lr=1)] * 2}, "the first optimizer holds no weight"),
    ({"model": nn.ReLU()}, "a torch.nn.Module with weights"),
]


@pytest.mark.parametrize(("said", "words"), FAULTS)
def test_bad_arguments_are_refused_in_a_sentence(said: dict[str, Any], words: str) -> None:
    net = network()
    given = {"model": net, "optimizer": torch.optim.SGD(net.parameters(), lr=1), **said}
    with pytest.raises(ValueError, match=words):
        watch(**given)


def test_optimizers_that_hold_something_of_the_model() -> None:
    """Those of several networks, with the model's first, and one that a library wraps with copies of its own."""
    net = network()
    own, other = (torch.optim.SGD(each.parameters(), lr=1) for each in (net, OTHER))

    class Wrapped(torch.optim.Optimizer):
        def __init__(self, inner: torch.optim.Optimizer) -> None:
            self.optimizer = inner

    for said in ([own, other], torch.optim.SGD([*OTHER.parameters(), *net.parameters()], lr=1), Wrapped(other)):
        assert watch(net, said, runs=Path("runs")).settings.runs == Path("runs")


def test_flags_can_be_switched_off_and_set() -> None:
    x, y = data()
    flags = {"non_finite": False, "overfitting": {"patience": 5}}
    net = network(noisy=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e20)
    with watch(net, optimizer, flags=flags) as run:
        loop(run, net, optimizer, CE, x, y)
    history = recorded(run)
    assert "non_finite" not in {found.id for found in history.findings}
    assert history.recipe["flags"] == flags


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt, "interrupted"), (ZeroDivisionError, "failed"), (SystemExit, "finished")]
)
def test_the_end_is_told_and_the_error_goes_on(error: type[BaseException], state: str, runs: Path) -> None:
    net = network()
    with pytest.raises(error), watch(net, torch.optim.SGD(net.parameters(), lr=1)):
        raise error
    assert answer("show")["state"] == state
    net.train()


def test_a_script_that_forgets_the_end(runs: Path) -> None:
    text = "import torch; from cockpit import watch; n = torch.nn.Linear(2, 2)\n"
    text += "watch(n, torch.optim.SGD(n.parameters(), lr=1)).start()"
    subprocess.run([sys.executable, "-c", text], check=True, timeout=120)
    assert "ended without leaving the watch" in answer("show")["reason"]


def test_nothing_is_written_before_and_after() -> None:
    net = network()
    run = watch(net, torch.optim.SGD(net.parameters(), lr=1))
    with pytest.raises(RuntimeError, match="begins with"):
        run.step(1.0)
    with run:
        pass
    assert run.step(1.0) and not len(read_history(run.dir).steps)
    run.evaluate(loss=1.0)


def wait_for(what: Any) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_commands() -> None:
    """Pause, edits, refusals, continue and stop, as the commands and the screen send them."""
    x, y = data()
    net = network()
    optimizer = torch.optim.SGD([{"params": net[0].parameters(), "lr": 0.01}, {"params": net[4].parameters()}], lr=0.05)
    ended: list[int] = []

    def fly() -> None:
        with watch(net, optimizer, name="mine") as run:
            for number in range(100_000):
                optimizer.zero_grad()
                outputs = net(x)
                loss = CE(outputs, y)
                loss.backward()
                optimizer.step()
                if not run.step(loss, outputs, y):
                    ended.append(number)
                    return

    thread = threading.Thread(target=fly, daemon=True)
    thread.start()
    from cockpit.runs.directory import list_runs, runs_root

    wait_for(lambda: list_runs(runs_root()))
    run = find(runs_root())
    wait_for(lambda: state_of(run) == "running")
    assert [one["state"] for one in answer("runs")] == ["running"]
    send(run.mailbox, Command("pause"))
    wait_for(lambda: state_of(run) == "paused" and read_history(run).paused)
    step = read_history(run).step
    for path, value in (("optimizer.lr", "0.02"), ("optimizer.lr", "x"), ("optimizer.lr", "-1"), ("model.norm", "batch")):
        send(run.mailbox, Command("edit", {"path": path, "value": value}))
    for verb in ("checkpoint", "pause"):
        send(run.mailbox, Command(verb))
    wait_for(lambda: len(read_history(run).commands) == 7)
    history = read_history(run)
    assert [done.ok for done in history.commands] == [True, True, False, False, False, False, False]
    assert "only optimizer.lr" in history.commands[4].detail
    assert (history.edits[0].path, history.edits[0].new, history.edits[0].live) == ("optimizer.lr", "0.02", True)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.02, 0.1])
    assert history.step == step
    send(run.mailbox, Command("continue"))
    wait_for(lambda: read_history(run).step > step)
    assert cockpit("stop").code == 0
    thread.join(timeout=20)
    assert ended
    assert answer("show")["state"] == "stopped" and answer("show")["reason"] == "on request"


def test_the_commands_that_need_a_recipe_refuse() -> None:
    x, y = data()
    watched(network(), CE, x, y, name="mine", probe=(x, y))
    assert answer("show", "mine")["last"]["val_accuracy"] > 0.8
    assert cockpit("show", "mine", "--plot").code == 0
    for words in (("test",), ("preview", "mine"), ("examine",), ("resume",)):
        done = cockpit(*words)
        assert done.code == 2 and done.err.strip() and "Traceback" not in done.err, done


def test_a_full_disk_costs_records_alone(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from cockpit.runs import log, tables

    x, y = data()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with watch(net, optimizer) as run:
        monkeypatch.setattr(log.LineWriter, "append", full)
        monkeypatch.setattr(tables.TableWriter, "append", full)
        loop(run, net, optimizer, CE, x, y)
    assert capfd.readouterr().err.count(" lost") == 1


def test_the_list_of_runs_needs_no_torch() -> None:
    text = "import sys, cockpit; from cockpit import watch; assert 'torch' not in sys.modules; assert callable(watch)"
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)
