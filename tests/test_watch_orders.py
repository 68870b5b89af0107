"""Every order to a watched loop is answered: obeyed, or refused in a sentence; and a share is a share."""

import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from test_watch import data, network, recorded
from torch import nn

from cockpit import watch
from cockpit.runs.events import Flagged, Remedy
from cockpit.runs.history import read_history
from cockpit.runs.mailbox import Command, send

NINES = "9" * 6000


def test_remedies_and_snoozes() -> None:
    """What helps a loop that goes on is applied; what needs another beginning is refused."""
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


@pytest.fixture
def run() -> Iterator[Any]:
    net = network()
    with watch(
        net, torch.optim.SGD([{"params": net[0].parameters()}, {"params": net[4].parameters(), "lr": 10.0}], lr=0.1)
    ) as run:
        stop = Remedy(label="stop", verb="stop")
        run._log.write(Flagged(id="overfitting", severity="warning", epoch=0, headline="", remedies=(stop,)))
        yield run


REFUSED = [
    ("stop", {"state": "banana"}, "expected stopped or interrupted, got 'banana'"),
    ("edit", {"path": "optimizer.lr", "value": NINES}, "expected a number from 0"),
    ("edit", {"path": "optimizer.lr", "value": "-" + NINES}, "expected a number from 0"),
    ("edit", {"path": "optimizer.lr", "value": "1e308"}, "too much"),
    ("edit", {"path": NINES, "value": "1"}, "only optimizer.lr"),
    ("edit", {}, "only optimizer.lr"),
    ("snooze", {"flag": "overfitting", "epochs": NINES}, "expected a number of epochs"),
    ("snooze", {"flag": NINES}, "is no flag"),
    ("remedy", {"flag": "overfitting", "number": NINES}, "no such remedy"),
    ("remedy", {"flag": "overfitting", "number": "1", "by": "auto"}, "expected user, got 'auto'"),
    ("dance" * 2000, {}, "unknown command 'dancedance"),
    ("rollback", {}, "cannot rollback"),
]


@pytest.mark.parametrize(("verb", "args", "words"), REFUSED)
def test_what_is_refused_is_answered(run: Any, verb: str, args: dict[str, str], words: str) -> None:
    command = Command(verb, args)
    run._desk.waiting.append(command)
    assert run.step(1.0)
    (done,) = read_history(run.dir).commands
    assert (done.id, done.ok) == (command.id, False) and words in done.detail and len(done.detail) < 200
    assert not run._log.history.remedied and [group["lr"] for group in run.settings.optimizer.param_groups] == [0.1, 10.0]


def test_an_order_that_fails_is_answered(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And those after it are obeyed."""

    def broken(*_: Any) -> str:
        raise ZeroDivisionError("no good")

    monkeypatch.setattr(run._orders, "_snooze", broken)
    run._desk.waiting += [Command("snooze"), Command("edit", {"path": "optimizer.lr", "value": "0.2"})]
    assert run.step(1.0)
    first, second = read_history(run.dir).commands
    assert not first.ok and "no good" in first.detail and second.ok


def wait_for(what: Callable[[], Any]) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_files_that_are_no_commands_are_answered(run: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """As far as they say whom to answer; else a note says that something was refused."""
    asked = send(run.dir.mailbox, Command("dance"))
    (run.dir.mailbox / "00.json").write_text(json.dumps("9" * 6000))
    wait_for(lambda: len(run._desk.waiting) == 2)
    assert run.step(1.0)
    history = read_history(run.dir)
    assert [(done.id, done.ok) for done in history.commands] == [(asked.id, False)]
    assert len([note for note in history.notes if "refused" in note.text]) == 1
    assert capfd.readouterr().err.count("cockpit: refused") == 2


@pytest.mark.parametrize("state", ["stopped", "interrupted"])
def test_the_state_of_a_stop_is_that_of_the_run(state: str) -> None:
    net = network()
    with watch(net, torch.optim.SGD(net.parameters(), lr=0.1)) as run:
        run._desk.waiting.append(Command("stop", {"state": state}))
        assert not run.step(1.0)
    ended = read_history(run.dir).ended
    assert ended and (ended.state, ended.reason) == (state, "on request")


@pytest.mark.parametrize(
    ("said", "kept"), [(93.0, math.nan), (-0.1, math.nan), (math.inf, math.nan), (1.0001, 1.0), (0.5, 0.5)]
)
def test_an_accuracy_is_a_share(said: float, kept: float, capfd: pytest.CaptureFixture[str]) -> None:
    """What is none is left out, said once, and the outputs count where there are some."""
    x, y = data()
    net = network()
    with watch(net, torch.optim.SGD(net.parameters(), lr=0.1), criterion=nn.CrossEntropyLoss()) as run:
        net.eval()
        outputs = net(x).detach()
        run.step(nn.functional.cross_entropy(outputs, y), outputs, y)
        run.evaluate(loss=1.0, accuracy=said)
        run.evaluate(outputs, y, accuracy=torch.tensor(said))
    alone, beside = read_history(run.dir).evaluations
    assert alone.val_accuracy == pytest.approx(kept, nan_ok=True) and alone.said_accuracy == pytest.approx(kept, nan_ok=True)
    assert beside.val_accuracy == pytest.approx(float((outputs.argmax(1) == y).float().mean()))
    assert beside.said_accuracy == pytest.approx(kept, nan_ok=True)
    assert capfd.readouterr().err.count("accuracy is a share from 0 to 1") == (kept != kept)
    if kept == kept:
        recorded(run)
