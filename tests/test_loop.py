"""The loop: bit-identical to plain PyTorch without tricks, the same twice, and the same after a stop and a resume."""

import torch
from conftest import TINY
from torch.nn import functional

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble
from cockpit.engine.feed import shuffled
from cockpit.host.flight import Flight
from cockpit.recipe import loads
from cockpit.runs.history import read_history
from cockpit.runs.mailbox import Command


def weights(flight):
    return {name: value.clone() for name, value in flight.job.model.state_dict().items()}


def assert_same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


def test_without_tricks_it_is_the_plain_loop_bit_for_bit(fly):
    text = TINY.replace("mlp, widths: [16], norm: none", "small_cnn, widths: [4, 8]")
    flight = fly(text, "optimizer.weight_decay=0.001")

    recipe = loads(text)
    job, _ = assemble(recipe, Places(root=data_root()))
    torch.manual_seed(0)
    model = recipe.model.build(job.task)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.001, fused=True)
    losses = []
    for epoch in range(2):
        for places in shuffled(len(job.train), 32, seed=0, epoch=epoch, drop_last=True):
            x = (job.train.pixels[places].float() * job.train.scale - job.train.mean) / job.train.std
            loss = functional.cross_entropy(model(x), job.train.labels[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert_same(weights(flight), model.state_dict())
    assert read_history(flight.run).steps["loss"].tolist() == torch.tensor(losses).tolist()


def test_the_same_seed_gives_the_same_run(fly):
    tricks = "tricks={mixup: on, dropout: {p: 0.3}, random_crop: {pad: 1}, weight_ema: on}"
    one, two, other = fly(TINY, tricks), fly(TINY, tricks), fly(TINY, tricks, "seed=1")
    assert_same(weights(one), weights(two))
    histories = [read_history(flight.run) for flight in (one, two)]
    assert histories[0].steps["loss"].tolist() == histories[1].steps["loss"].tolist()
    assert [seen.val_loss for seen in histories[0].evaluations] == [seen.val_loss for seen in histories[1].evaluations]
    assert not all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(other).values(), strict=True))


def test_switching_a_trick_on_shifts_no_other_random_stream(fly):
    order = shuffled(100, 10, seed=0, epoch=1, drop_last=True)
    torch.rand(7)
    again = shuffled(100, 10, seed=0, epoch=1, drop_last=True)
    assert all(torch.equal(a, b) for a, b in zip(order, again, strict=True))


def stop_after(flight, steps):
    """Stop a flight after so many steps, through the control that a mailbox feeds."""
    control, obey = flight.control, flight.control.obey

    def counting(job, recorder, keeper):
        if job.step == steps:
            control.post(Command("stop"))
        return obey(job, recorder, keeper)

    control.obey = counting
    return flight


def test_stop_and_resume_equals_straight_through(fly, runs):
    from cockpit.launch import new_run

    edits = ("tricks={mixup: on, dropout: {p: 0.3}, weight_ema: on, early_stopping: on}", "optimizer=adam")
    straight = fly(TINY, *edits)
    run = new_run(loads(TINY, edits=edits), runs, "broken", allow_code=False, command=[])
    first = stop_after(Flight(run, say=print), 9)
    first.fly()
    assert first.end.state == "stopped" and first.step == 9
    second = Flight(run, resume=True, say=print)
    second.fly()
    assert second.end.state == "finished"
    assert_same(weights(straight), weights(second))
    whole, mended = read_history(straight.run), read_history(run)
    assert whole.steps["loss"].tolist() == mended.steps["loss"].tolist()
    assert [seen.val_loss for seen in whole.evaluations] == [seen.val_loss for seen in mended.evaluations]


def test_the_same_weights_whatever_is_measured(fly):
    assert_same(weights(fly(TINY, "train.probe_every=1")), weights(fly(TINY, "train.probe_every=1000")))


def test_every_step_and_sampled_layer_is_recorded(fly):
    history = read_history(fly(TINY, "train.probe_every=3", "train.epochs=6").run)
    assert history.steps["step"].tolist() == list(range(1, 37))
    sampled = history.steps["step"][history.steps["grad_norm"] == history.steps["grad_norm"]].tolist()
    assert sampled == [*range(1, 21), 21, 24, 27, 30, 33, 36]
    steps, norms = history.layer_series(0, "grad_norm")
    assert steps.tolist() == sampled and (norms > 0).all()
    assert (history.steps["lr"] == torch.tensor(0.1).item()).all()


def test_a_loss_that_is_not_finite_ends_the_run_as_failed(fly):
    flight = fly(TINY, "optimizer.lr=20", "train.epochs=30", "model.widths=[64,64,64]", "optimizer.momentum=0.99")
    assert flight.end.state == "failed"
    assert "the loss became" in flight.end.reason
    assert "non_finite" in read_history(flight.run).active


def test_a_fault_in_a_user_network_is_the_reason(fly, tmp_path):
    net = tmp_path / "net.py"
    net.write_text("def build(**_):\n    raise KeyError('no such layer')\n")
    flight = fly(TINY, f"model={{name: file, path: {net}}}")
    assert flight.end.state == "failed"
    assert "no such layer" in flight.end.reason and "net.py:2" in flight.end.reason


def test_best_weights_are_put_back(fly):
    flight = fly(TINY, "tricks.early_stopping={patience: 1}", "optimizer.lr=2", "train.epochs=12")
    history = read_history(flight.run)
    best = max(history.evaluations, key=lambda seen: (seen.val_accuracy, -seen.val_loss))
    assert history.best == best
    assert flight.end.kept == "best"
    saved = torch.load(flight.run.checkpoint("best"), weights_only=True)
    assert saved["step"] == best.step
    assert_same(weights(flight), saved["model"])
