"""The size of the batch: accumulated steps against large batches, growing ones, and the rate that goes with them."""

import math

import pytest
import torch
from conftest import TINY
from kit import epoch, moment, parts
from test_loop import weights
from torch import nn

from cockpit.recipe import RecipeError, cautions, loads
from cockpit.runs.history import read_history
from cockpit.tricks.batch_size import BatchGrowth, GradAccumulation, LrScaling

NET = nn.Linear(1, 1)


@pytest.mark.parametrize("more", ["tricks={}", "tricks.label_smoothing=on"])
def test_four_small_batches_are_one_large_one(fly, more):
    """Without batch norm; 178 images: the last cycle of an epoch is short, and its last batch shorter still."""
    common = (more, "optimizer.momentum=0.9", "model.widths=[16, 16]", "train.drop_last=off", "data.limit=178")
    whole = fly(TINY, *common, "train.batch_size=32")
    split = fly(TINY, *common, "train.batch_size=8", "tricks.grad_accumulation.steps=4")
    losses = [torch.tensor(read_history(flight.run).steps["loss"].tolist()) for flight in (whole, split)]
    assert len(losses[0]) == 12
    torch.testing.assert_close(*losses, rtol=0, atol=1e-6)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(split)[name], value, rtol=0, atol=1e-6)


def test_the_short_last_cycle_holds_what_remains():
    plug = GradAccumulation(steps=4).plug(parts(NET))
    batches = torch.arange(180).split(8)
    merged = plug.sampler(batches, epoch(torch.zeros(180)))
    assert [len(step) for step in merged] == [32] * 5 + [20]
    assert torch.equal(torch.cat(merged), torch.arange(180))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9])
@pytest.mark.parametrize("trick", [GradAccumulation(steps=3), BatchGrowth(factor=3, every=2)])
def test_the_steps_that_are_promised_are_those_that_come(count, trick):
    plug = trick.plug(parts(NET))
    batches = torch.arange(4 * count).split(4)
    for number in range(7):
        assert plug.steps(count, number) == len(plug.sampler(batches, epoch(torch.zeros(1), number)))


def test_the_batch_grows_every_few_epochs():
    plug = BatchGrowth(factor=2, every=3).plug(parts(NET))
    assert [plug.steps(40, number) for number in range(10)] == [40] * 3 + [20] * 3 + [10] * 3 + [5]
    assert plug.steps(40, 99_999) == 1


def test_a_growing_run_has_the_planned_steps_and_sees_every_image(fly):
    flight = fly(TINY, "train.epochs=4", "tricks.batch_growth={factor: 2, every: 1}", "train.batch_size=16")
    assert flight.end.state == "finished"
    assert flight.job.calendar.lengths == (12, 6, 3, 2)
    assert read_history(flight.run).steps["step"].tolist() == list(range(1, 24))


@pytest.mark.parametrize(("rule", "factor"), [("linear", 4.0), ("sqrt", 2.0)])
def test_the_rate_follows_the_batch(rule, factor):
    at = moment(batch_size=1024)
    assert LrScaling(rule=rule).schedule(0.1, at) == pytest.approx(0.1 * factor)
    assert LrScaling(rule=rule, base_batch=4096).schedule(0.1, at) == pytest.approx(0.1 / factor)


def test_the_rate_follows_what_is_accumulated(fly):
    edits = ("train.batch_size=8", "tricks={grad_accumulation: {steps: 4}, lr_scaling: {base_batch: 128, rule: sqrt}}")
    flight = fly(TINY, *edits)
    assert flight.job.batch_size == 32
    assert read_history(flight.run).steps["lr"].tolist() == pytest.approx([0.1 * math.sqrt(32 / 128)] * 14)


@pytest.mark.parametrize("schedule", ["step", "multistep"])
def test_a_growing_batch_and_a_dropping_rate_are_refused(schedule):
    with pytest.raises(RecipeError, match="both lower the noise"):
        loads(TINY, edits=["tricks.batch_growth=on", f"schedule={schedule}"])
    assert any("falling rate" in said for said in cautions(loads(TINY, edits=["tricks.batch_growth=on", "schedule=cosine"])))
