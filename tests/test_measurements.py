"""What the flags judge by: each number against a slow plain way to get it."""

import math
import time

import numpy as np
import pytest
import torch
from conftest import TINY
from sklearn.metrics import recall_score
from torch import nn

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.advice import advice, needed, shared_images, usual_rate
from cockpit.engine.assemble import assemble
from cockpit.engine.facts import early_norm, inputs_of, outputs_of, recalls_of
from cockpit.engine.meter import Meter
from cockpit.engine.probes import LayerProbe, layers_of
from cockpit.engine.units import alike, unit_rows, watch_activity
from cockpit.nets.count import count
from cockpit.recipe import loads
from cockpit.runs.history import read_history


def job_of(*edits):
    return assemble(loads(TINY, edits=edits), Places(root=data_root()))


def test_rows_alike_is_the_mean_cosine_of_all_pairs():
    weight = torch.randn(5, 3, 2, 2) + 0.5
    rows = weight.flatten(1)
    pairs = [torch.cosine_similarity(rows[i], rows[j], dim=0) for i in range(5) for j in range(i)]
    assert float(alike(weight)) == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-5)


@pytest.mark.parametrize("weight", [torch.zeros(4, 3), torch.full((4, 3), 0.1), torch.arange(1.0, 5.0)[:, None].expand(4, 3)])
def test_rows_that_are_one_row_are_alike(weight):
    assert float(alike(weight)) == pytest.approx(1, abs=1e-6)


def stuck_share(outputs, tanh):
    """The share of units whose slope is under 5 % of its maximum on more than 95 % of the images, written out."""
    slopes = [[(1 - o * o) if tanh else o * (1 - o) / 0.25 for o in row] for row in outputs.T.tolist()]
    return sum(sum(slope < 0.05 for slope in unit) / len(unit) > 0.95 for unit in slopes) / len(slopes)


@pytest.mark.parametrize("kind", [nn.Sigmoid, nn.Tanh])
def test_stuck_units_are_counted_as_the_definition_says(kind):
    net = nn.Sequential(nn.Linear(3, 8), kind(), nn.Linear(8, 2))
    with torch.no_grad():
        net[0].weight *= torch.tensor([0.1, 0.5, 1, 5, 20, 50, 100, 500])[:, None]
    x = torch.randn(60, 3) + 2
    with watch_activity(net) as activity, torch.no_grad():
        for part in x.split(25):
            net(part)
    share = activity.saturated()["0"]
    assert share == pytest.approx(stuck_share(net[1](net[0](x)).detach(), kind is nn.Tanh))
    assert 0 < share < 1


def test_gates_and_outputs_may_be_sure():
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Sigmoid(), nn.Flatten(), nn.Linear(4, 2), nn.Sigmoid())
    with torch.no_grad():
        for layer in (net[0], net[4]):
            layer.weight.fill_(1000)
    with watch_activity(net) as activity, torch.no_grad():
        net(torch.ones(8, 1, 2, 2))
    assert activity.saturated() == {}


def test_every_layer_gets_a_row_and_unknown_is_nan():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    with torch.no_grad():
        net[0].bias.fill_(-100)
        with watch_activity(net) as activity:
            net(torch.randn(9, 3))
    rows = unit_rows(net, activity, 7)
    assert rows["step"].tolist() == [7, 7, 7] and rows["layer"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(rows["dead"], [1, np.nan, np.nan])
    assert np.isnan(rows["saturated"][[0, 2]]).all() and rows["saturated"][1] == 0
    assert np.isfinite(rows["alike"]).all() and np.isnan(rows["grad_norm"]).all()


def test_inputs_against_numpy():
    x = torch.randn(50, 3, 4, 4) * torch.tensor([1, 10, 0.0])[:, None, None] + 1
    seen, values = inputs_of(x), x.numpy()
    assert (seen.samples, seen.finite, seen.floating, seen.constant) == (50, True, True, 1)
    assert [seen.low, seen.high] == pytest.approx([values.min(), values.max()])
    assert [seen.mean, seen.std] == pytest.approx([values.mean(), values.std()], rel=1e-4)
    assert seen.channel_stds == pytest.approx((0, values.std(axis=(0, 2, 3)).max()), rel=1e-4)


def test_inputs_that_are_no_numbers_are_left_out_and_told():
    x = torch.tensor([[1.0, math.nan], [3.0, math.inf], [5.0, 2.0]])
    seen = inputs_of(x)
    assert not seen.finite and (seen.low, seen.high) == (1, 5) and seen.mean == pytest.approx(11 / 4)
    assert not inputs_of(torch.tensor([[1], [2]])).floating
    assert math.isnan(inputs_of(torch.full((2, 2), math.nan)).mean)


def test_outputs_of_probabilities_and_logits():
    logits = torch.randn(40, 5) * 3
    seen, shares = outputs_of(logits), torch.softmax(logits, 1)
    told = outputs_of(shares)
    assert told.row_sum_error < 1e-5 < seen.row_sum_error and told.low >= 0 > seen.low
    assert outputs_of(torch.softmax(logits, 0)).column_sum_error < 1e-5
    assert seen.entropy == pytest.approx(float(-(shares * shares.log()).sum(1).mean()), rel=1e-5)
    assert seen.spread == pytest.approx(logits.numpy().std(axis=0).mean(), rel=1e-5)
    assert outputs_of(logits[:1].expand(9, 5)).spread == pytest.approx(0, abs=1e-6)
    assert list(seen.histogram) == np.histogram(logits.numpy(), 16)[0].tolist()
    assert outputs_of(torch.tensor([[math.nan, 1.0]])).histogram == ()


def test_one_output_is_a_coin_with_two_sides():
    assert outputs_of(torch.zeros(9, 1)).entropy == pytest.approx(math.log(2))


def test_recalls_against_scikit_learn():
    guess, truth = torch.randint(0, 4, (90,)), torch.randint(0, 4, (90,))
    theirs = recall_score(truth, guess, average=None)
    assert recalls_of(guess, truth, 5)[:4] == pytest.approx(theirs, abs=1e-4) and math.isnan(recalls_of(guess, truth, 5)[4])


def test_what_measuring_costs_is_measured():
    meter = Meter()
    meter.start()
    time.sleep(0.02)
    meter.stop()
    assert meter.take().seconds >= 0.02 and meter.take().seconds == 0


def test_sampled_steps_carry_their_cost(fly):
    rows = read_history(fly(TINY, "train.epochs=3").run).steps
    sampled = ~np.isnan(rows["update_ratio"])
    assert (rows["probing"][sampled] > 0).all() and (rows["probing"] < rows["time"][-1]).all()


def test_a_long_run_is_measured_more_rarely():
    probe = LayerProbe([], 10)
    due = [step for step in range(1, 3001) if probe.due(step)]
    assert due[:22] == [*range(1, 21), 30, 40] and set(np.diff(due[22:100])) == {10}
    assert due[-5:] == [2800, 2850, 2900, 2950, 3000]


def test_only_what_the_optimizer_holds_counts_as_trained():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    found = [layer.trained for layer, _ in layers_of(net, {id(weight) for weight in net[1].parameters()})]
    assert found == [False, True] and all(layer.trained for layer, _ in layers_of(net))


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (("train.batch_size=20",), ""),
        (("train.batch_size=100",), "100 of 200 images make 2 steps"),
        (("train.batch_size=20", "optimizer.lr=5"), "5 is 50 times the 0.1 that sgd usually starts from"),
        (("train.batch_size=20", "optimizer={name: adam, lr: 1.0e-5}"), "1/100 of the 0.001 that adam usually starts from"),
        (("train.batch_size=20", "optimizer={name: adam, lr: 3.0e-2}"), ""),
    ],
)
def test_odd_numbers_are_noted_before_the_start(edits, said):
    notes = advice(job_of(*edits)[0])
    assert said in " ".join(notes) and bool(said) == bool(notes)


def test_optimizers_that_find_their_rate_have_no_usual_one():
    assert usual_rate(loads("{optimizer: vsgd, schedule: {name: constant, warmup_epochs: 0}}").optimizer) == 0


def test_a_step_needs_at_least_weights_gradients_and_activations():
    job, loaded = job_of()
    size = count(job.model, job.task)
    assert needed(size, job) > 2 * 4 * size.parameters + size.activations * job.recipe.train.batch_size
    assert list(shared_images(loaded.facts)) == []


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ((nn.BatchNorm1d(4), nn.Linear(4, 4)), True),
        ((nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), True),
        ((nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4)), True),
        ((nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.BatchNorm1d(4)), False),
        ((nn.Linear(4, 2),), False),
    ],
)
def test_a_norm_at_the_first_layer_is_known(layers, expected):
    assert early_norm(nn.Sequential(*layers)) is expected
