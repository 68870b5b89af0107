"""The checks of layers and of untrained features, against numpy and scikit-learn."""

import importlib
import json
import math

import numpy as np
import pytest
import torch
from conftest import TINY
from test_checks import FULL, job_of
from torch import nn

from cockpit.engine.checks.bare import clean_batch
from cockpit.engine.checks.weights import weights

random_features = importlib.import_module("cockpit.engine.checks.random_features")


def test_weights_and_signal_are_those_that_numpy_sees():
    job = job_of(TINY, "model.widths=[16, 12]")
    with torch.no_grad():
        job.model.fc2.weight[3:5] = 0
    found = weights(job)
    x = clean_batch(job, 256)[0].flatten(1).numpy()
    spreads = []
    for name, row in zip(("fc1", "fc2", "head"), found.lines[1:], strict=True):
        weight, bias = (value.detach().numpy() for value in job.model.get_submodule(name).parameters())
        out = x @ weight.T + bias
        x = out.clip(0)
        spreads.append(out.std(ddof=1))
        told = row.split()
        assert told[0] == name
        numbers = [weight.std(ddof=1), weight.mean(), {"fc2": 2}.get(name, 0), out.std(ddof=1), out.mean()]
        assert [float(word) for word in told[1:]] == pytest.approx(numbers, abs=6e-5)
        low, high, counts = found.histograms[name]
        assert (low, high) == (weight.min(), weight.max()) and sum(counts) == weight.size
        assert np.abs(np.array(counts) - np.histogram(weight, len(counts))[0]).max() <= 1, "an edge may round either way"
    assert found.ok and found.numbers["signal_ratio"] == pytest.approx(spreads[-1] / spreads[0], rel=1e-4)


DEEP = ("model={name: mlp, widths: [16, 16, 16, 16, 16, 16], norm: none}",)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (("model.init=zeros",), "every weight of fc1 is the same"),
        (("model.init={name: constant, value: 0.1}",), "every weight of fc1 is the same"),
        ((*DEEP, "model.init=normal_001"), "dies on its way"),
    ],
)
def test_a_start_that_cannot_learn_is_told(edits: tuple[str, ...], words: str):
    found = weights(job_of(TINY, *edits))
    assert not found.ok and words in found.headline


def test_a_signal_that_grows_is_told():
    job = job_of(TINY, *DEEP)
    with torch.no_grad():
        for weight in job.model.parameters():
            weight.mul_(10)
    found = weights(job)
    assert not found.ok and "grows on its way" in found.headline and found.numbers["signal_ratio"] > 1e3


@pytest.mark.parametrize("edits", [(), ("model={name: mlp, widths: [], norm: none}",)])
def test_a_head_of_zeros_is_a_way_to_start(edits: tuple[str, ...]):
    job = job_of(TINY, *edits)
    nn.init.zeros_(job.model.head.weight)
    found = weights(job)
    assert found.ok, found.headline
    assert json.dumps(found.plain(), allow_nan=False)


def test_a_weight_that_is_no_number_and_a_network_without_layers_are_told():
    job = job_of()
    with torch.no_grad():
        job.model.fc1.weight[0, 0] = math.inf
    assert not weights(job).ok and "fc1.weight" in weights(job).headline
    job.model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64))
    assert weights(job).ok and "not measured" in weights(job).headline


def test_a_layer_of_one_weight_is_measured():
    job = job_of()
    job.model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(64, 10))
    assert weights(job).ok


def test_random_features_are_scored_like_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    job = job_of(FULL, "data.limit=600", "model.widths=[16, 16]")
    found = random_features.random_features(job)
    model = job_of(FULL, "data.limit=600", "model.widths=[16, 16]", "tricks={}").model
    model.train()
    with torch.no_grad():
        model(job.train.clean(torch.arange(len(job.train))).x)  # standardised by all images at once, as after a refresh
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        model(job.train.clean(torch.arange(len(job.train))).x)
        model.eval()
        model.head = nn.Identity()
        train_x, val_x = (model(feed.clean(torch.arange(len(feed))).x).numpy() for feed in (job.train, job.val))
    spread = train_x.std(0)
    fit = LogisticRegression(max_iter=2000).fit((train_x - train_x.mean(0)) / spread, job.train.labels)
    score = fit.score((val_x - train_x.mean(0)) / spread, job.val.labels)
    assert found.numbers["accuracy"] == pytest.approx(score, abs=0.05)
    assert found.ok and found.numbers["accuracy"] > 4 * found.numbers["chance"]


def test_a_part_of_a_set_that_lies_in_the_order_of_its_classes_shows_all_of_them(monkeypatch: pytest.MonkeyPatch):
    job = job_of(TINY, "data.limit=600")
    order = job.train.labels.argsort()
    object.__setattr__(job.train, "pixels", job.train.pixels[order])
    object.__setattr__(job.train, "labels", job.train.labels[order])
    monkeypatch.setattr(random_features, "MOST", 150)
    assert random_features.random_features(job).numbers["accuracy"] > 0.5
