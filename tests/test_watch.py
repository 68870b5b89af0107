"""`cockpit.watch` on loops of the user's own: what is recorded, and that nothing of the training changes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cockpit import watch
from cockpit.runs.history import History, read_history

torch.set_num_threads(1)


def data(count: int = 320, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points around a few centres."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 8, generator=torch.Generator().manual_seed(9)) * 2
    y = torch.arange(count) % classes
    return centres[y] + torch.randn(count, 8, generator=draw), y


def network(outputs: int = 4, *, noisy: bool = True) -> nn.Sequential:
    noise = [nn.BatchNorm1d(16), nn.Dropout(0.2)] if noisy else []
    return nn.Sequential(nn.Linear(8, 16), *noise, nn.ReLU(), nn.Linear(16, outputs))


def loop(
    run: Any, net: nn.Module, optimizer: Any, loss_of: Any, x: Tensor, y: Tensor, *, epochs: int = 2, zero: bool = True
) -> None:
    """A plain loop of 10 steps an epoch; `run` None: nobody watches."""
    for _ in range(epochs):
        net.train()
        for places in torch.randperm(len(x)).split(len(x) // 10):
            if zero:
                optimizer.zero_grad()
            outputs = net(x[places])
            loss = loss_of(outputs, y[places])
            loss.backward()
            optimizer.step()
            if run is not None:
                run.step(loss, outputs, y[places])
        net.eval()
        with torch.no_grad():
            outputs = net(x[:64])
        if run is not None:
            run.evaluate(outputs, y[:64])


def recorded(run: Any) -> History:
    """The history on the disk; the watcher had no fault."""
    history = read_history(run.dir)
    assert not [note for note in history.notes if note.level != "info"], history.notes
    return history


def watched(net: nn.Module, loss_of: Any, x: Tensor, y: Tensor, *, zero: bool = True, lr: float = 0.05, **said: Any) -> History:
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    with watch(net, optimizer, steps_per_epoch=10, **said) as run:
        loop(run, net, optimizer, loss_of, x, y, zero=zero)
    return recorded(run)


@pytest.mark.parametrize("said", [{}, {"probe": True}, {"probe": True, "criterion": True}])
def test_nothing_of_the_training_changes(said: dict[str, Any]) -> None:
    """Weights, optimizer, buffers, modes and random numbers are bit for bit those of the loop alone."""
    ends = []
    x, y = data()
    for alone in (True, False):
        torch.manual_seed(3)
        net, loss = network(), nn.CrossEntropyLoss()
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
        run = None
        given = {"probe": (x[:300], y[:300]) if "probe" in said else None, "criterion": loss if "criterion" in said else None}
        if alone:
            loop(None, net, optimizer, loss, x, y, epochs=4)
        else:
            with watch(net, optimizer, epochs=4, steps_per_epoch=10, **given) as run:
                loop(run, net, optimizer, loss, x, y, epochs=4)
            assert len(recorded(run).steps) == 40
        modes = [module.training for module in net.modules()]
        state = [*net.state_dict().values(), *(v for s in optimizer.state.values() for v in s.values()), torch.get_rng_state()]
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
        ends.append((modes, state))
    assert ends[0][0] == ends[1][0]
    assert all(torch.equal(one, other) for one, other in zip(ends[0][1], ends[1][1], strict=True))


def test_what_is_recorded() -> None:
    x, y = data()
    loss = nn.CrossEntropyLoss()
    history = watched(
        network(), loss, x, y, criterion=loss, epochs=2, probe=(x[:256], y[:256]), name="mine", classes=list("abcd")
    )
    started, measured = history.started, history.measured
    assert started and measured
    assert (started.criterion, started.optimizer, started.accumulate) == ("logits", "sgd", 1)
    assert (started.steps_per_epoch, started.total_steps, started.epochs, started.batch_size) == (10, 20, 2, 32)
    assert started.chance_loss == pytest.approx(math.log(4), abs=0.02)
    assert started.chance_accuracy == 0.25
    assert [layer.trained for layer in started.layers] == [True, True]
    assert started.data.train_counts == (64, 64, 64, 64)
    assert measured.samples == 256 and measured.expected_loss == pytest.approx(math.log(4))
    assert measured.inputs and measured.inputs.samples == 256 and measured.outputs and measured.outputs.width == 4
    steps = history.steps
    assert steps["step"].tolist() == list(range(1, 21))
    assert np.isfinite(steps["loss"]).all() and np.isfinite(steps["accuracy"]).all()
    assert np.isfinite(steps["grad_norm"]).all() and (steps["update_ratio"] > 0).all() and (steps["stale"] == 0).all()
    assert steps["lr"].tolist() == pytest.approx([0.05] * 20)
    first, last = history.evaluations[0], history.evaluations[-1]
    assert (first.epoch, last.epoch, last.step, last.val_size, last.probe_size) == (1, 2, 20, 64, 256)
    assert last.val_accuracy > 0.9 and last.train_accuracy > 0.9 and len(last.recalls) == 4
    assert math.isfinite(last.train_mode_loss) and last.outputs and not last.in_training_mode
    assert {"dead", "alike"} <= {name for name in ("dead", "saturated", "alike") if np.isfinite(history.layers[name]).any()}
    assert history.ended and history.ended.state == "finished"


def test_the_first_batches_serve_where_no_probe_is_given() -> None:
    x, y = data()
    history = watched(network(), nn.functional.cross_entropy, x, y)
    assert history.started and history.started.criterion == "logits"
    assert history.started.chance_loss == pytest.approx(math.log(4), abs=0.05)
    assert history.measured and history.measured.loss == pytest.approx(float(history.steps["loss"][0]))
    assert history.evaluations[-1].probe_size == 320
    assert history.evaluations[-1].train_accuracy > 0.9


def shaped(outputs: int, kind: str) -> tuple[nn.Module, Tensor, Tensor]:
    x, y = data(classes=max(2, outputs))
    torch.manual_seed(0)
    net = network(outputs, noisy=False)
    if kind == "probabilities":
        net.append(nn.Softmax(1) if outputs > 1 else nn.Sigmoid())
    if kind == "log_probabilities":
        net.append(nn.LogSoftmax(1))
    return net, x, y


F = nn.functional
LOSSES: list[tuple[str, int, Callable[..., Tensor], str, float]] = [
    ("logits", 4, F.cross_entropy, "logits", math.log(4)),
    ("log_probabilities", 4, F.nll_loss, "log_probabilities", math.log(4)),
    ("logits", 1, lambda z, y: F.binary_cross_entropy_with_logits(z[:, 0], y.float()), "logits", math.log(2)),
    ("probabilities", 1, lambda z, y: F.binary_cross_entropy(z[:, 0], y.float()), "probabilities", math.log(2)),
    ("probabilities", 4, F.cross_entropy, "logits", math.log(4)),
    ("logits", 4, lambda z, y: F.mse_loss(z, F.one_hot(y, 4).float()), "values", 0.1875),
    ("logits", 1, lambda z, y: F.mse_loss(z[:, 0], y.float()), "values", 0.25),
    ("logits", 4, lambda z, y: F.multi_margin_loss(z, y), "", math.nan),
]


@pytest.mark.parametrize(("kind", "outputs", "loss", "takes", "chance"), LOSSES)
@pytest.mark.parametrize("given", [False, True])
def test_losses_are_known_by_what_they_do(kind: str, outputs: int, loss: Any, takes: str, chance: float, given: bool) -> None:
    net, x, y = shaped(outputs, kind)
    said: dict[str, Any] = {"criterion": loss, "probe": (x, y)} if given else {}
    history = watched(net, loss, x, y, **said)
    started, measured, seen = history.started, history.measured, history.evaluations[-1]
    assert started and measured
    assert started.criterion == takes
    assert started.chance_loss == pytest.approx(chance, abs=0.02, nan_ok=True)
    assert np.isfinite(history.steps["accuracy"]).all()
    assert seen.val_accuracy > 0.8 or kind == "probabilities" or outputs == 1
    assert len(seen.recalls) == max(2, outputs)
    if takes in ("logits", "log_probabilities", "probabilities"):
        assert measured.expected_loss == pytest.approx(chance, abs=0.02)
    if given or takes:
        assert seen.val_loss == pytest.approx(float(loss(net.eval()(x[:64]).detach(), y[:64])), rel=1e-4)


def test_a_summed_loss_shows_as_the_loop_reports_it() -> None:
    x, y = data()
    loss = nn.CrossEntropyLoss(reduction="sum")
    for said in ({"criterion": loss, "probe": (x, y)}, {}):
        history = watched(network(), loss, x, y, lr=0.001, **said)
        assert history.measured and history.started
        assert history.measured.loss == pytest.approx(32 * math.log(4), rel=0.4)
        assert history.measured.expected_loss == pytest.approx(math.log(4))
        assert history.started.chance_loss == pytest.approx(math.log(4), abs=0.05)
        assert history.evaluations[-1].val_loss < 2


def test_soft_targets_have_no_accuracy() -> None:
    x, y = data()
    soft = F.one_hot(y, 4).float() * 0.8 + 0.05
    history = watched(network(), nn.CrossEntropyLoss(), x, soft, probe=(x, y))
    assert history.started and history.started.criterion == "logits"
    assert np.isnan(history.steps["accuracy"]).all()
    assert history.evaluations[-1].train_accuracy > 0.9 and math.isnan(history.evaluations[-1].val_accuracy)


def test_labels_outside_the_outputs_are_counted() -> None:
    x, y = data(classes=4)
    net = network(1, noisy=False)
    history = watched(net, lambda z, t: F.binary_cross_entropy_with_logits(z[:, 0], t.float()), x, y, lr=0.001)
    assert history.started and history.started.data.train_counts == (80, 80, 80, 80)
    assert len(history.started.data.classes) == 2
    history = watched(network(), lambda z, t: z.square().mean(), x, y - 1, lr=0.001)
    assert history.started and history.started.data.train_counts == (80, 80, 80, 0, 80)


def test_a_loss_alone_is_enough() -> None:
    x, _ = data()
    net = network(1, noisy=False)
    optimizer = torch.optim.Adam(net.parameters())
    with watch(net, optimizer) as run:
        for _ in range(30):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x)[:, 0], x.sum(1))
            loss.backward()
            optimizer.step()
            run.step(loss)
        run.evaluate(loss=0.5)
    history = recorded(run)
    assert history.started and history.started.total_steps == 0 and math.isnan(history.started.chance_loss)
    assert history.measured is None
    assert len(history.steps) == 30 and history.evaluations[0].val_loss == 0.5
    assert np.isfinite(history.steps["grad_norm"]).sum() == 21
