"""Whole runs: one step on all images, second looks, averages that are scored, rates that nobody chose."""

import copy

import pytest
import torch
from conftest import TINY
from test_loop import assert_same, stop_after, weights
from torch.nn import functional

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import AssemblyError, assemble
from cockpit.engine.loop import backward, take_step
from cockpit.engine.recorder import Recorder
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import RecipeError, cautions, loads
from cockpit.runs.history import read_history

CNN = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [8], convs: 1}")


def job_of(text: str, *edits: str):
    job, _ = assemble(loads(text, edits=edits), Places(root=data_root()))
    job.model.train()
    return job


def epochs(job, count: int):
    recorder = Recorder(lambda steps, layers: None)
    for _ in range(count):
        for places in job.rest_of_epoch():
            take_step(job, places, recorder)


def accuracy(job) -> float:
    batch = job.val.clean(torch.arange(len(job.val)))
    with torch.no_grad():
        return float((job.model.eval()(batch.x).argmax(1) == batch.y).float().mean())


def test_gd_is_gradient_descent_on_all_images(fly):
    flight = fly(TINY, "optimizer={name: gd, lr: 0.2, weight_decay: 0.01}", "train.epochs=3", "train.drop_last=false")
    assert [len(read_history(flight.run).steps), flight.job.steps_per_epoch] == [3, 1]
    job = job_of(TINY)
    model, every = job.model, job.train.clean(torch.arange(len(job.train)))
    for _ in range(3):
        loss = functional.cross_entropy(model(every.x), every.y) + 0.005 * sum(w.square().sum() for w in model.parameters())
        grads = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for weight, grad in zip(model.parameters(), grads, strict=True):
                weight -= 0.2 * grad
    for name, weight in flight.job.model.named_parameters():
        torch.testing.assert_close(weight, model.get_parameter(name))


def test_lbfgs_is_torchs_on_the_penalised_loss_of_all_images():
    edits = ("optimizer={name: lbfgs, max_iter: 4, weight_decay: 0.02}",)
    job = job_of(TINY, *edits)
    twin, every = copy.deepcopy(job.model), job.train.clean(torch.arange(len(job.train)))
    epochs(job, 2)
    optimizer = torch.optim.LBFGS(twin.parameters(), max_iter=4, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = functional.cross_entropy(twin(every.x), every.y) + 0.01 * sum(w.square().sum() for w in twin.parameters())
        loss.backward()
        return loss.detach()

    for _ in range(2):
        optimizer.step(closure)
    for name, weight in job.model.named_parameters():
        torch.testing.assert_close(weight, twin.get_parameter(name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["vsgd", "lbfgs", "schedule_free", "gd", "muon", "lamb"])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(name, fly, runs):
    edits = (f"optimizer={name}", "train.epochs=3", "model.widths=[4]", *(("optimizer.n0=3",) if name == "vsgd" else ()))
    straight = fly(CNN, *edits)
    for at in (2, 3) if straight.job.steps_per_epoch == 1 else (6, 9):
        run = new_run(loads(CNN, edits=edits), runs, f"broken{at}", allow_code=False, command=[])
        stop_after(Flight(run, say=print), at).fly()
        second = Flight(run, resume=True, say=print)
        second.fly()
        assert_same(weights(straight), weights(second))


def test_what_is_scored_and_kept_of_schedule_free_is_the_average(fly):
    flight = fly(TINY, "optimizer={name: schedule_free, lr: 0.02, warmup_steps: 3}", "train.epochs=4")
    history = read_history(flight.run)
    best = torch.load(flight.run.checkpoint("best"), weights_only=True)["model"]
    optimizer, job = flight.job.optimizer, flight.job
    trained = copy.deepcopy(job.model.state_dict())
    optimizer.eval()
    assert accuracy(job) == pytest.approx(history.evaluations[-1].val_accuracy)
    if history.best == history.evaluations[-1]:
        assert_same(best, job.model.state_dict())
    assert any(not torch.equal(trained[name], value) for name, value in job.model.state_dict().items())


@pytest.mark.parametrize(("name", "least"), [("adasecant", 0.8), ("vsgd", 0.85), ("prodigy", 0.85), ("schedule_free", 0.8)])
def test_it_learns_the_digits(name, least):
    text = TINY.replace("limit: 200", "limit: 1000").replace("widths: [16]", "widths: [32]")
    warm = ("optimizer.warmup_steps=50",) if name == "schedule_free" else ()
    job = job_of(text, f"optimizer={name}", "train.epochs=8", *warm)
    epochs(job, 8)
    with job.settled():
        assert accuracy(job) > least


def test_a_second_look_leaves_batch_norm_and_dropout_as_they_were():
    job = job_of(CNN, "tricks={dropout: {p: 0.5}, sam: on}")
    places = next(job.rest_of_epoch())
    state = torch.get_rng_state()
    plain = job_of(CNN, "tricks={dropout: {p: 0.5}}")
    torch.set_rng_state(state)
    backward(plain, plain.batches(places, plain.moment()), plain.moment())
    torch.set_rng_state(state)
    take_step(job, places, Recorder(lambda steps, layers: None))
    for (name, one), two in zip(job.model.named_buffers(), plain.model.buffers(), strict=True):
        assert torch.equal(one, two), name


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (("optimizer=vsgd", "schedule=cosine"), "take schedule: constant"),
        (("optimizer=adasecant", "schedule=cosine"), "take schedule: constant"),
        (("optimizer=schedule_free", "schedule=cosine"), "take schedule: constant"),
        (("optimizer=schedule_free", "tricks.lookahead=on"), "averages the weights already"),
        (("optimizer=vsgd", "tricks.layer_decay=on"), "none to scale"),
        (("optimizer=vsgd", "tricks.sam=on"), "looks at the batch again by itself"),
        (("optimizer=vsgd", "tricks.grad_clip=on"), "clipped by another factor"),
        (("optimizer=lbfgs", "tricks.no_decay_1d=on"), "all weights as one vector"),
        (("optimizer=lbfgs", "tricks.mixup=on"), "nothing in it may be random"),
        (("optimizer=gd", "tricks.random_crop=on"), "nothing in it may be random"),
        (("optimizer=gd", "tricks.dropout=on"), "nothing in it may be random"),
        (("optimizer={name: timm, which: adahessian}", "tricks.sam=on"), "second derivatives"),
    ],
)
def test_what_cannot_run_together_is_refused(edits, said):
    with pytest.raises(RecipeError, match=said):
        loads(CNN, edits=edits)


def test_what_runs_with_a_word():
    assert "max_grad_norm to null" in str(cautions(loads(CNN, edits=("optimizer=lamb", "tricks.grad_clip=on"))))
    quiet = loads(CNN, edits=("optimizer={name: lamb, max_grad_norm: null}", "tricks.grad_clip=on"))
    assert "max_grad_norm" not in str(cautions(quiet))
    assert "each part alone" in str(cautions(loads(CNN, edits=("optimizer=gd",))))
    assert "only says where to look" in str(cautions(loads(CNN, edits=("tricks={sam: on, grad_clip: on}",))))


def test_a_network_that_does_not_fit_is_a_sentence():
    with pytest.raises(AssemblyError, match="no norm layer with a bias"):
        job_of(TINY, "tricks.bias_lr_scale=on")
    with pytest.raises(AssemblyError, match="timm has no optimizer 'zzz'"):
        job_of(TINY, "optimizer={name: timm, which: zzz}")


def test_adahessian_gets_a_graph_from_the_loop():
    job = job_of(CNN, "optimizer='timm:adahessian'")
    before = [weight.detach().clone() for weight in job.model.parameters()]
    epochs(job, 1)
    assert all(not torch.equal(one, two) for one, two in zip(before, job.model.parameters(), strict=True))
