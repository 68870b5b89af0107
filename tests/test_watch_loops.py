"""`cockpit.watch` on loops with faults of their own, and the commands that such a loop obeys."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
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


def test_gradients_that_are_left_over_show() -> None:
    x, y = data()
    stale = watched(network(), CE, x, y, zero=False, lr=0.001).steps["stale"]
    assert stale[0] == 0 and (stale[1:] == 1).all()


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_declared_accumulation_is_no_fault(accumulate: int, to_none: bool) -> None:
    """Whatever the order of zero_grad: after the step, as here, or before the backward pass."""
    x, y = data()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with watch(net, optimizer, accumulate=accumulate) as run:
        reported = []
        for number in range(18):
            outputs = net(x)
            loss = CE(outputs, y)
            reported.append(float(loss.detach()))
            (loss / accumulate).backward()
            if (number + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad(set_to_none=to_none)
            run.step(loss, outputs, y)
    history = recorded(run)
    rows = history.steps
    assert len(rows) == 18 // accumulate
    assert (rows["stale"] == 0).all() and (rows["grad_norm"] > 0).all() and (rows["update_ratio"] > 0).all()
    assert rows["loss"] == pytest.approx(np.array(reported).reshape(-1, accumulate).mean(1), rel=1e-5)
    assert history.started and history.started.accumulate == accumulate and history.started.batch_size == 320 * accumulate


def test_a_loop_that_never_updates_is_recorded() -> None:
    x, y = data()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with watch(net, optimizer) as run:
        for _ in range(25):
            outputs = net(x)
            loss = CE(outputs, y)
            loss.backward()
            run.step(loss, outputs, y)
    rows = recorded(run).steps
    assert len(rows) == 25 and (rows["update_ratio"][:20] == 0).all()


def test_what_the_optimizer_does_not_hold_shows() -> None:
    x, y = data()
    net = network(noisy=False)
    net[0].bias.requires_grad_(False)
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.05)
    with watch(net, optimizer) as run:
        loop(run, net, optimizer, CE, x, y)
    started = recorded(run).started
    assert started and [layer.trained for layer in started.layers] == [False, True] and started.frozen == ("0.bias",)


def test_a_closure_is_measured_when_it_has_run() -> None:
    x, y = data()
    net = network(noisy=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    seen: list[Any] = []

    def closure() -> Any:
        optimizer.zero_grad()
        outputs = net(x)
        loss = CE(outputs, y)
        loss.backward()
        seen[:] = [loss, outputs]
        return loss

    with watch(net, optimizer) as run:
        for step in range(6):
            optimizer.step(closure) if step % 2 else optimizer.step(closure=closure)
            run.step(seen[0], seen[1], y)
    rows = recorded(run).steps
    assert (rows["grad_norm"] > 0).all() and (rows["update_ratio"] > 0).all() and (rows["stale"] == 0).all()


@pytest.mark.parametrize("noisy", [True, False])
def test_validation_in_training_mode_is_seen(noisy: bool) -> None:
    x, y = data()
    net = network(noisy=noisy)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with watch(net, optimizer, probe=(x, y)) as run:
        for epoch in range(2):
            net.train()
            outputs = net(x)
            loss = CE(outputs, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.step(loss, outputs, y)
            net.train(epoch == 0)
            with torch.no_grad():
                outputs = net(x)
            run.evaluate(outputs, y, accuracy=0.5)
    seen = recorded(run).evaluations
    assert [one.in_training_mode for one in seen] == [noisy, False]
    assert seen[0].said_accuracy == 0.5


def test_a_loader_is_scored_in_evaluation_mode() -> None:
    x, y = data()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=100, shuffle=True)
    with watch(net, optimizer, criterion=CE) as run:
        run.evaluate(loader)
        loop(run, net, optimizer, CE, x, y)
        before = torch.get_rng_state()
        net.train()
        run.evaluate(loader)
        assert net.training and torch.equal(before, torch.get_rng_state())
    first, *_, last = recorded(run).evaluations
    assert first.step == 0 and first.val_size == 320 and last.val_accuracy > 0.9 and not last.in_training_mode


def test_an_evaluation_that_cannot_be_read_yet_is_left_out() -> None:
    x, y = data()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with watch(net, optimizer) as run:
        run.evaluate(net(x).detach(), y)
        loop(run, net, optimizer, CE, x, y)
    history = recorded(run)
    assert "told the criterion" in history.notes[0].text and len(history.evaluations) == 2


def test_a_flag_that_fails_does_not_hide_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from cockpit.flags.non_finite import NonFinite

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("no good")

    x, y = data()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    monkeypatch.setattr(NonFinite, "look", broken)
    with watch(net, optimizer) as run:
        loop(run, net, optimizer, CE, x, y)
    history = read_history(run.dir)
    assert history.ended and history.ended.state == "finished" and len(history.steps) == 20 and len(history.evaluations) == 2
    (note,) = history.notes
    assert "non_finite failed and looks no more" in note.text and "no good" in note.text
    assert "no good" in run.dir.log.read_text()


def test_more_than_one_row_an_example() -> None:
    """A class for each pixel: scored over all of them, those left out by -100 aside."""
    torch.manual_seed(0)
    x = torch.randn(32, 1, 6, 6)
    y = (x[:, 0] > 0).long()
    y[:, 0] = -100
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    loss = nn.CrossEntropyLoss()
    with watch(net, optimizer, criterion=loss, probe=(x, y)) as run:
        for _ in range(60):
            optimizer.zero_grad()
            outputs = net(x)
            value = loss(outputs, y)
            value.backward()
            optimizer.step()
            run.step(value, outputs, y)
        run.evaluate(outputs, y)
    history = recorded(run)
    seen = history.evaluations[0]
    assert np.isnan(history.steps["accuracy"]).all() and seen.val_accuracy > 0.85 and len(seen.recalls) == 2
    assert history.started and history.started.data.train_counts == (int((y == 0).sum()), int((y == 1).sum()))


def test_a_network_with_words_for_its_inputs_and_outputs() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(20, 8), nn.Linear(8, 3)

        def forward(self, ids: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            return {"logits": self.head(self.table(ids).mean(1))}

    torch.manual_seed(0)
    ids = torch.randint(0, 20, (64, 5))
    y = ids[:, 0] % 3
    net = Words()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with watch(net, optimizer, probe=({"ids": ids}, y)) as run:
        for _ in range(10):
            optimizer.zero_grad()
            outputs = net(ids=ids, labels=y)["logits"]
            loss = CE(outputs, y)
            loss.backward()
            optimizer.step()
            run.step(loss, outputs, y)
        run.evaluate([{"ids": ids, "labels": y}])
    history = recorded(run)
    assert history.measured and history.measured.inputs is None and history.evaluations[0].probe_size == 64


def test_a_network_that_the_loop_goes_on_from() -> None:
    """The probe is left out where the outputs handed over are not those of the network."""
    x, y = data()
    body, head = network(16, noisy=False), nn.Linear(16, 4)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.05)
    with watch(body, optimizer, probe=(x, y)) as run:
        loop(run, nn.Sequential(body, head), optimizer, CE, x, y)
    history = recorded(run)
    assert "the probe is not used" in history.notes[0].text and history.evaluations[-1].probe_size == 0


def test_what_is_not_finite_does_not_end_the_loop() -> None:
    x, y = data()
    net = network(noisy=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e20)
    with watch(net, optimizer, probe=(x, y)) as run:
        loop(run, net, optimizer, CE, x, y, epochs=3)
    history = recorded(run)
    assert len(history.steps) == 30 and "non_finite" in {found.id for found in history.findings}
    assert history.ended and history.ended.state == "finished"


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, "epochs must be a whole number above 0"),
    ({"every": 2.5}, "every must be a whole number"),
    ({"classes": 1}, "classes must be the names"),
    ({"criterion": 3}, "criterion must be what the loop calls"),
    ({"probe": torch.zeros(3)}, "probe must be"),
    ({"probe": (torch.zeros(3, 8), torch.zeros(2))}, "one target for each"),
    ({"flags": {"overfittin": False}}, "did you mean 'overfitting'"),
    ({"flags": [1]}, "flags must be a mapping"),
    ({"optimizer": None}, "optimizer must be"),
    ({"model": nn.ReLU()}, "a torch.nn.Module with weights"),
]


@pytest.mark.parametrize(("said", "words"), FAULTS)
def test_bad_arguments_are_refused_in_a_sentence(said: dict[str, Any], words: str) -> None:
    net = network()
    given = {"model": net, "optimizer": torch.optim.SGD(net.parameters(), lr=1), **said}
    with pytest.raises(ValueError, match=words):
        watch(**given)


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
    assert capfd.readouterr().err.count("records are being lost") == 1


def test_the_list_of_runs_needs_no_torch() -> None:
    text = "import sys, cockpit; from cockpit import watch; assert 'torch' not in sys.modules; assert callable(watch)"
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)


def test_remedies_and_snoozes() -> None:
    """What helps a loop that goes on is applied; what needs another beginning is refused."""
    from cockpit.runs.events import Flagged, Remedy

    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with watch(net, optimizer) as run:
        lower = (("optimizer.lr", "0.01"),)
        now, before = Remedy(label="lower", edits=lower), Remedy(label="lower", edits=lower, since="before")
        end = Remedy(label="stop", verb="stop")
        run._log.write(Flagged(id="overfitting", severity="warning", epoch=0, headline="", remedies=(before, now, end)))
        for number in ("1", "2", "9", "x", "3"):
            run._orders._one(Command("remedy", {"flag": "overfitting", "number": number}), 0)
        for flag, epochs in (("overfitting", "2"), ("overfitting", "x"), ("no_such", "1")):
            run._orders._one(Command("snooze", {"flag": flag, "epochs": epochs}), 0)
        assert run._orders.stop_asked
    history = read_history(run.dir)
    assert [done.ok for done in history.commands] == [False, True, False, False, True, True, False, False]
    assert "start again" in history.commands[0].detail and len(history.remedied) == 2
    assert optimizer.param_groups[0]["lr"] == 0.01 and "overfitting" in history.snoozed
