"""`cockpit.watch` on loops with faults of their own, and the commands that such a loop obeys."""

from typing import Any

import numpy as np
import pytest
import torch
from test_watch import data, loop, network, recorded, watched
from torch import nn

from cockpit import watch
from cockpit.runs.history import read_history

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
