"""The loop itself: a second look at a batch, the parts of a large one, epochs of unlike lengths, edits between two steps."""

import copy
import dataclasses
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from conftest import TINY
from test_checks import everything, job_of, same, train
from test_loop import assert_same, weights
from torch import Tensor, nn

from cockpit.engine.loop import advance, backward, repeat_of
from cockpit.engine.training import Training
from cockpit.recipe import edit
from cockpit.runs.calendar import Calendar
from cockpit.runs.history import read_history

CNN = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [8], convs: 1, norm: batch}")
SAM = ("tricks.sam.rho=0.05",)


def gradients(job: Training) -> list[Tensor]:
    return [weight.grad.clone() for weight in job.model.parameters() if weight.grad is not None]


def buffers(job: Training) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in job.model.named_buffers()}


@pytest.mark.parametrize(
    "edits",
    [
        (),
        ("tricks={sam: on, dropout: {p: 0.5}, mixup: on, random_crop: {pad: 1}, grad_clip: {max_norm: 0.1}}",),
        ("tricks={sam: on, dropout_2d: on, gradient_penalty: on, l1: on}",),
        ("tricks={sam: on, fgsm: on}",),
        ("tricks={sam: on, batch_growth: {every: 1}, dropout: {p: 0.5}}", "model.norm=ghost_batch"),
        ("tricks={sam: on, label_smoothing: on}", "model={name: resnet, depth: 20, width: 0.25}"),
        ("tricks={sam: on, stochastic_depth: {rate: 0.5}}", "model={name: resnet, depth: 20, width: 0.25}"),
    ],
)
def test_again_is_the_same_step_where_the_weights_have_not_moved(edits: tuple[str, ...]):
    job = job_of(CNN, *SAM, *edits)
    job.step = job.steps_per_epoch  # where the batch has grown
    job.model.train()
    at = job.moment()
    batches = job.batches(next(job.rest_of_epoch()), at)
    again = repeat_of(job, batches, at)
    assert len(batches) == (2 if "batch_growth" in job.recipe.tricks else 1)
    seen = backward(job, batches, at)
    job.gradients(at)
    torch.rand(5)  # the generator goes on from here, wherever a second look draws from
    first, statistics, state = gradients(job), buffers(job), torch.get_rng_state()
    assert statistics and first
    for _ in range(2):
        job.optimizer.zero_grad()
        assert torch.equal(again(), seen.loss)
        assert same(gradients(job), first)
        assert same(buffers(job), statistics), "running statistics moved with the first pass alone"
        assert torch.equal(torch.get_rng_state(), state)


def test_again_looks_where_the_weights_now_stand():
    job = job_of(CNN, *SAM)
    job.model.train()
    at, places = job.moment(), next(job.rest_of_epoch())
    batches = job.batches(places, at)
    again = repeat_of(job, batches, at)
    backward(job, batches, at)
    statistics = buffers(job)
    with torch.no_grad():
        for weight in job.model.parameters():
            weight.add_(0.1)
    moved = copy.deepcopy(job.model)
    loss = nn.functional.cross_entropy(moved(batches[0].x), batches[0].y)
    assert torch.equal(again(), loss.detach())
    loss.backward()
    assert same(gradients(job), [weight.grad for weight in moved.parameters()])
    assert same(buffers(job), statistics)


def test_statistics_and_draws_of_a_second_look_are_those_of_a_run_without():
    once = job_of(CNN, "tricks.dropout.p=0.5")
    train(once, 1)
    drawn, statistics = torch.get_rng_state(), buffers(once)
    twice = job_of(CNN, "tricks.dropout.p=0.5", *SAM)
    train(twice, 1)
    assert torch.equal(torch.get_rng_state(), drawn) and same(buffers(twice), statistics)


def test_a_trick_that_looks_again_without_saying_so_is_caught():
    job = job_of(CNN)
    again = repeat_of(job, [], job.moment())
    with pytest.raises(AssertionError, match="looks_twice"):
        again()


ODD = ("train={batch_size: 32, drop_last: false}",)


def test_the_parts_of_a_large_batch_weigh_by_their_images():
    job = job_of(TINY, *ODD, "tricks.grad_accumulation={steps: 4}")
    (whole, rest), at = list(job.rest_of_epoch()), job.moment()
    assert (len(whole), len(rest)) == (128, 72)
    batches = job.batches(rest, at)
    assert [len(batch.x) for batch in batches] == [32, 32, 8]
    seen = backward(job, batches, at)
    x, y = torch.cat([batch.x for batch in batches]), torch.cat([batch.y for batch in batches])
    loss = nn.functional.cross_entropy(job.model(x), y)
    torch.testing.assert_close(seen.loss, loss.detach())
    expected = torch.autograd.grad(loss, [*job.model.parameters()])
    torch.testing.assert_close(gradients(job), [*expected])
    parts = [nn.functional.cross_entropy(job.model(batch.x), batch.y) for batch in batches]
    assert abs(float((sum(parts) / 3 - loss).detach())) > 1e-3, "the mean of the parts' means is another number"


def test_accumulated_steps_are_those_of_a_large_batch(fly: Any):
    large = fly(TINY, "train={batch_size: 128, drop_last: false, epochs: 3}")
    small = fly(TINY, *ODD, "train.epochs=3", "tricks.grad_accumulation={steps: 4}")
    assert large.job.step == small.job.step == 6
    for name, value in weights(large).items():
        torch.testing.assert_close(value, weights(small)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lengths", [(6, 6), (7, 3, 1), (1,), (5, 1, 1, 4), (12, 6, 3, 2, 1, 1)])
def test_a_calendar_of_unlike_epochs_counted_by_hand(lengths: tuple[int, ...]):
    calendar = Calendar(lengths)
    by_hand = [(number, done) for number, length in enumerate(lengths) for done in range(length)]
    assert calendar.total == len(by_hand) and calendar.lengths == lengths
    assert [calendar.place(step) for step in range(calendar.total)] == by_hand
    assert calendar.place(calendar.total) == (len(lengths) - 1, lengths[-1])
    assert [calendar.epoch(step) for step in range(calendar.total)] == [
        number + done / lengths[number] for number, done in by_hand
    ]
    assert calendar.epoch(calendar.total) == len(lengths)
    ends = [step for step in range(calendar.total + 1) if calendar.ends_epoch(step)]
    assert ends == [sum(lengths[: number + 1]) for number in range(len(lengths))]


def test_a_run_of_unlike_epochs_shows_each_image_once_an_epoch_and_scores_at_each_end(
    fly: Any, monkeypatch: pytest.MonkeyPatch
):
    taken: list[list[int]] = []
    batches = Training.batches
    monkeypatch.setattr(
        Training,
        "batches",
        lambda job, places, at: taken.append(places.tolist()) or batches(job, places, at),  # type: ignore[func-returns-value]
    )
    flight = fly(TINY, *ODD, "train.epochs=4", "tricks.batch_growth={factor: 3, every: 1}")
    lengths = [7, 3, 1, 1]
    assert list(flight.job.calendar.lengths) == lengths and len(taken) == sum(lengths)
    for start, end in pairwise([0, 7, 10, 11, 12]):
        assert sorted(place for step in taken[start:end] for place in step) == list(range(200))
    history = read_history(flight.run)
    assert [(seen.step, seen.epoch) for seen in history.evaluations] == [(7, 1), (10, 2), (11, 3), (12, 4)]
    assert flight.end.epoch == 4 and history.steps["step"].tolist() == list(range(1, 13))


TRICKS = "tricks={weight_ema: {decay: 0.9}, dropout: {p: 0.3}, mixup: on, sam: {rho: 0.02}}"


def hooks(job: Training) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in job.model.modules())


def test_an_edit_leaves_the_state_of_what_it_does_not_touch():
    job = job_of(CNN, TRICKS)
    train(job, 4)
    before, plugs, criterion = everything(job), dict(job.wiring.plugs), job.plain_criterion
    job.rewire(edit(edit(job.recipe, "tricks.mixup.alpha", "0.4"), "optimizer.momentum", "0.5"))
    after = everything(job)
    assert [name for name, plug in plugs.items() if job.wiring.plugs[name] is not plug] == ["mixup"]
    assert same(before["state"]["tricks"], after["state"]["tricks"]) and criterion is job.plain_criterion
    assert same(before["state"]["model"], after["state"]["model"])
    assert same(before["state"]["optimizer"]["state"], after["state"]["optimizer"]["state"])
    assert [group["momentum"] for group in job.optimizer.param_groups] == [0.5]
    assert [group["lr"] for group in job.optimizer.param_groups] == [group["lr"] for group in before["groups"]]
    assert torch.equal(before["torch"], after["torch"])


def test_a_changed_knob_takes_the_trick_s_state_along():
    job = job_of(CNN, TRICKS)
    train(job, 4)
    old, state = job.wiring.plugs["weight_ema"], copy.deepcopy(job.wiring.state_dict()["weight_ema"])
    job.rewire(edit(job.recipe, "tricks.weight_ema.decay", "0.99"))
    new = job.wiring.plugs["weight_ema"]
    assert new is not old and same(new.state_dict(), state)
    train(job, 1)
    assert not same(new.state_dict(), state) and same(old.state_dict(), state), "the old one has let go"


def test_switching_to_and_fro_leaves_neither_hooks_nor_a_trace():
    plain = job_of(CNN, TRICKS)
    losses = train(plain, 8)
    job = job_of(CNN, TRICKS)
    seen, hung = train(job, 4), hooks(job)
    for name in ("mixup", "dropout", "grad_clip", "random_crop"):
        there = name in job.recipe.tricks
        recipe = job.recipe
        job.rewire(edit(recipe, f"tricks.{name}", "off" if there else "on"))
        job.rewire(recipe)
        assert hooks(job) == hung
    assert losses == seen + train(job, 4)
    assert_same(plain.model.state_dict(), job.model.state_dict())


def test_a_trick_switched_on_late_starts_fresh_and_off_is_gone():
    job = job_of(CNN)
    train(job, 3)
    job.rewire(edit(job.recipe, "tricks.weight_ema", "on"))
    average = job.wiring.through("evaluate", job.model)
    assert average is not job.model and same(dict(average.state_dict()), dict(job.model.state_dict()))
    job.rewire(edit(job.recipe, "tricks.weight_ema", "off"))
    assert job.wiring.through("evaluate", job.model) is job.model and job.wiring.state_dict() == {}


def test_a_grown_batch_ends_at_the_planned_epoch_on_the_record_too(fly: Any) -> None:
    flight = fly(TINY, "train.epochs=4", "train.batch_size=16", "tricks.batch_growth={factor: 2, every: 2}")
    history = read_history(flight.run)
    lengths = history.started.epoch_lengths
    assert lengths == flight.job.calendar.lengths and lengths[0] > lengths[-1]
    assert [Calendar(lengths).epoch(seen.step) for seen in history.evaluations] == [1, 2, 3, 4] and history.epoch == 4
    assert read_history(fly(TINY).run).started.epoch_lengths == ()


def test_a_step_that_fp16_skips_is_no_step_for_the_average() -> None:
    job = job_of(CNN, "tricks.weight_ema=on")
    job.model.train()
    job.precision = dataclasses.replace(job.precision, scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10))
    average = job.wiring.plugs["weight_ema"]

    def copies() -> list[torch.Tensor]:
        return [value.clone() for value in average.state_dict().values() if isinstance(value, torch.Tensor)]

    places = list(job.rest_of_epoch())
    before, weights = copies(), [weight.detach().clone() for weight in job.model.parameters()]
    broken = next(job.model.parameters()).register_hook(lambda gradient: gradient * math.inf)
    advance(job, places[0])
    assert not job.stepped and all(map(torch.equal, before, copies()))
    assert all(map(torch.equal, weights, job.model.parameters()))
    broken.remove()
    advance(job, places[1])
    assert job.stepped and not all(map(torch.equal, before, copies()))
