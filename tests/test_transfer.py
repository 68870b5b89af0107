"""Starting from another run, freezing and probing: what moves, what stays, and how fast."""

import copy
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from kit import COLOUR, DIGITS, images, moment, parts
from test_loop import assert_same, stop_after, weights
from torch import nn

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble
from cockpit.engine.randomness import stream
from cockpit.engine.scoring import score
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.nets.transfer import Source, Standardise, features, fingerprint, put_in, resample, source
from cockpit.recipe import RecipeError, loads
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.travel import Gradients
from cockpit.tricks.pretraining.fine_tune import FineTune, FineTuning
from cockpit.tricks.pretraining.freezing import Freeze, LinearProbe

CNN = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [4, 8], convs: 1}").replace(
    "momentum: 0.9", "momentum: 0.9, weight_decay: 0.01"
)
VIT = "{name: vit, patch: 2, dim: 8, depth: 2, heads: 2}"


def net(task=DIGITS, text=CNN):
    torch.manual_seed(0)
    return loads(text).model.build(task)


def job_of(text, *edits):
    return assemble(loads(text, edits=edits), Places(root=data_root()))[0]


def tuned(model, task=DIGITS, *, state=None, recipe=None, size=(8, 8), **knobs):
    """A plug that starts from weights at hand, once it is through the model seam."""
    one = torch.ones(1, 1, 1, 1)
    found = Source(net().state_dict() if state is None else state, recipe or loads(CNN), size, 0.25 * one, 2 * one)
    plug = FineTuning(FineTune(run="earlier", **knobs), found, stream(0, "fine_tune", 0))
    plug.model(model, task)
    return plug


@pytest.mark.parametrize("which", ["best", "last"])
def test_it_starts_with_the_accuracy_of_the_other_run(fly, which):
    first = fly(CNN, "train.epochs=4", "optimizer.lr=0.3", name="first")
    seen = read_history(first.run).evaluations
    expected = max(one.val_accuracy for one in seen) if which == "best" else seen[-1].val_accuracy
    job = job_of(CNN, f"tricks.fine_tune={{run: first, weights: {which}}}", "seed=5")
    assert_same(job.model.state_dict(), torch.load(first.run.checkpoint(which), weights_only=True)["model"])
    scores = score(job.model, job.val, job.val_places(), job.plain_criterion, job.precision)
    assert scores.accuracy == pytest.approx(expected)
    assert scores.accuracy > 0.2


def test_a_resume_in_the_middle_equals_straight_through(fly, runs):
    earlier = fly(CNN, "train.epochs=1").run.path
    trick = f"tricks={{fine_tune: {{run: {earlier}, reset_head: on}}, freeze: {{layers: backbone, until_epoch: 1}}}}"
    straight = fly(CNN, trick)
    for steps in (4, 8):
        run = new_run(loads(CNN, edits=[trick]), runs, "broken", allow_code=False, command=[])
        stop_after(Flight(run, say=print), steps).fly()
        second = Flight(run, resume=True, say=print)
        second.fly()
        assert_same(weights(straight), weights(second))


def test_the_head_starts_anew_where_the_classes_differ():
    other = DIGITS._replace(classes=4)
    model = net(other)
    nn.init.zeros_(model.conv1_1.weight)
    plug = tuned(model, other)
    body = net().state_dict()
    for name, value in model.state_dict().items():
        if not name.startswith("head"):
            assert torch.equal(value, body[name])
    assert model.head.weight.shape == (4, 8) and not model.head.bias.any()
    assert 0.005 < float(model.head.weight.detach().std()) < 0.02
    assert plug.notes == () and {*plug.params([{"params": [*model.parameters()]}], model)[1]["params"]} == {
        *model.head.parameters()
    }


@pytest.mark.parametrize(
    ("asked", "tricks", "fresh"),
    [
        ("auto", "{}", False),
        ("auto", "{masked_token: on}", True),
        ("on", "{}", True),
        ("off", "{masked_token: on}", False),
    ],
)
def test_when_the_head_starts_anew(asked, tricks, fresh):
    recipe = loads(CNN.replace("{name: small_cnn, widths: [4, 8], convs: 1}", VIT), edits=[f"tricks={tricks}"])
    state, model = net().state_dict(), net()
    nn.init.ones_(state["head.weight"])
    tuned(model, state=state, recipe=recipe, reset_head=asked)
    assert torch.equal(model.head.weight, torch.ones(10, 8)) is not fresh


def test_a_head_for_other_classes_cannot_be_kept():
    other = DIGITS._replace(classes=4)
    with pytest.raises(ValueError, match="other classes; take reset_head: auto"):
        tuned(net(other), other, reset_head="off")


def test_loaded_weights_learn_at_a_share_of_the_rate():
    model = net()
    plug = tuned(model, reset_head="on", lr_factor=0.2)
    head = {*model.head.parameters()}
    groups = [
        {"params": [*model.conv1_1.parameters()], "lr_scale": 0.5},
        {"params": [model.conv2_1.weight, *head], "pinned": ()},
    ]
    split = plug.params(groups, model)
    assert [group.get("lr_scale") for group in split] == [0.1, 0.2, None]
    assert [{*group["params"]} for group in split] == [{*model.conv1_1.parameters()}, {model.conv2_1.weight}, head]
    assert all("pinned" in group for group in split[1:])


def test_the_rates_reach_the_optimizer(fly):
    first = fly(CNN, "train.epochs=1").run.path
    job = job_of(CNN, f"tricks.fine_tune={{run: {first}, reset_head: on, lr_factor: 0.25}}")
    job.set_lr(job.moment())
    rates = {weight: group["lr"] for group in job.optimizer.param_groups for weight in group["params"]}
    assert {rates[weight] for weight in job.model.head.parameters()} == {0.1}
    assert {rate for weight, rate in rates.items() if weight not in {*job.model.head.parameters()}} == {0.025}


def test_a_network_with_little_in_common_is_refused_by_name():
    stranger = {"conv1_1.weight": net().state_dict()["conv1_1.weight"], "trunk.weight": torch.zeros(3)}
    with pytest.raises(
        ValueError, match=r"has \d+% of the weights .*missing: conv1_1_norm.weight, .* and \d+ more; .*trunk.weight"
    ):
        tuned(net(), state=stranger)


def test_names_without_a_like_are_noted():
    state = net().state_dict()
    del state["conv2_1_norm.bias"]
    plug = tuned(net(), state={**state, "extra.weight": torch.zeros(3)})
    assert plug.notes == ("loaded 98% of the weights; missing: conv2_1_norm.bias; unexpected: extra.weight",)


def test_only_names_and_shapes_that_fit_are_copied():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(4), "1.weight": torch.ones(1, 3), "2.bias": torch.ones(1)}
    kept = model[1].weight.clone()
    match = put_in(model, state, skip=frozenset({"1.weight"}))
    assert match.loaded == {"0.weight"} and match.missing == ("0.bias", "1.bias") and match.unexpected == ("0.bias", "2.bias")
    assert match.share == pytest.approx(6 / 10)
    assert (model[0].weight == 1).all() and torch.equal(model[1].weight, kept)


def test_images_are_standardised_as_the_other_run_did(fly):
    first = fly(CNN, "train.epochs=1", name="first")
    plug = FineTune(run="first").plug(parts(net()))
    train = images()
    moved = plug.dataset(train)
    torch.testing.assert_close(moved.mean, first.job.train.mean)
    torch.testing.assert_close(moved.std, first.job.train.std)
    assert moved.pixels is train.pixels and not torch.equal(moved.mean, train.mean)
    assert plug.dataset(images(COLOUR)).mean.shape == (1, 3, 1, 1)  # of three channels it knows nothing
    plain = fly(CNN, "train.epochs=1", "data.standardise=none").run
    assert float(source(str(plain.path), "best").std) == 1


def test_what_is_trained_on_and_what_is_scored_are_standardised_alike(fly):
    other = fly(TINY, "data={source: synthetic, size: 8, train: 100, test: 20}", "train.epochs=1").run
    job, places = job_of(TINY, f"tricks.fine_tune={{run: {other.path}}}"), torch.arange(9)
    mean = read_history(other).started.data.mean[0]
    assert float(job.train.mean) == float(job.val.mean) == pytest.approx(mean)
    torch.testing.assert_close(job.batches(places, job.moment())[0].x, job.train.clean(places).x)


def test_the_root_is_that_of_the_other_run():
    roots = [tuned(net(), reset_head=asked).root for asked in ("on", "off")]
    assert roots == [fingerprint(net().state_dict())] * 2
    moved = {name: value + (name == "head.bias") for name, value in net().state_dict().items()}
    renamed = {name.replace("head", "tail"): value for name, value in net().state_dict().items()}
    assert len({roots[0], fingerprint(moved), fingerprint(renamed)}) == 3


@pytest.mark.parametrize(("old", "new", "extra"), [((4, 4), (7, 7), 1), ((4, 4), (2, 2), 0), ((7, 7), (4, 4), 1)])
def test_positions_are_resampled_as_timm_does(old, new, extra):
    from timm.layers import resample_abs_pos_embed

    position = torch.randn(1, extra + old[0] * old[1], 8)
    theirs = resample_abs_pos_embed(position, list(new), list(old), num_prefix_tokens=extra)
    torch.testing.assert_close(resample(position, old, new), theirs)
    assert resample(position, old, old) is position


def test_a_vit_takes_the_weights_of_one_for_smaller_images():
    text = CNN.replace("{name: small_cnn, widths: [4, 8], convs: 1}", VIT)
    small, large = net(text=text), net(DIGITS._replace(height=16, width=12), text)
    plug = tuned(large, DIGITS._replace(height=16, width=12), state=small.state_dict(), recipe=loads(text))
    assert plug.notes == () and torch.equal(large.position[:, 0], small.position[:, 0])
    assert large.position in plug._loaded


def test_a_run_that_cannot_be_started_from(fly, runs):
    run = fly(CNN, "train.epochs=1").run

    def refused(name, said, which="best"):
        with pytest.raises(ValueError, match=said):
            FineTune(run=name, weights=which).plug(parts(net()))

    refused(" ", "name a finished run")
    refused("nobody", "is called 'nobody'")
    run.checkpoint("last").write_bytes(b"PK")
    refused(run.id, "last.pt of run .* is damaged", "last")
    run.checkpoint("best").unlink()
    refused(run.id, "has no checkpoint best.pt yet")
    copied = Path(shutil.copytree(run.path, runs / "copy_of_a_cafe"))
    RunDir(copied).events.write_text("")
    refused(str(copied), "never began to train")


def test_a_probe_moves_nothing_but_its_head(fly):
    first = fly(CNN, "train.epochs=1").run
    flight = fly(CNN, f"tricks={{fine_tune: {{run: {first.path}}}, linear_probe: on}}", "train.epochs=3")
    start = torch.load(first.checkpoint("best"), weights_only=True)["model"]
    now = weights(flight)
    moved = {name for name in now if name not in start or not torch.equal(now[name], start[name])}
    assert moved == {"head.0.mean", "head.0.std", "head.1.weight", "head.1.bias"}
    assert int(now["conv1_1_norm.num_batches_tracked"]) > 0
    losses = read_history(flight.run).steps["loss"]
    assert losses[0] == pytest.approx(np.log(10), abs=0.2) and losses[-5:].mean() < 0.9 * losses[:5].mean()
    (group,) = flight.job.optimizer.param_groups
    assert {*group["params"]} == {*flight.job.model.head.parameters()} and "lr_scale" not in group


def test_a_probe_without_standardised_features_keeps_the_names_of_the_network(fly):
    flight = fly(CNN, "tricks.linear_probe={norm_features: off}", "train.epochs=1")
    assert weights(flight).keys() == net().state_dict().keys()


def test_features_are_what_the_head_reads_and_are_standardised():
    model, train = net(), images()
    model.train()
    seen = features(model, train, torch.arange(10))
    assert model.training and all(module.training for module in model.modules())
    with torch.no_grad():
        torch.testing.assert_close(model.eval().head(seen), model(train.clean(torch.arange(10)).x))
    seen[:, 3] = 7.0
    ours = Standardise(seen)(seen).numpy()
    varied = np.delete(seen.numpy(), 3, axis=1)
    np.testing.assert_allclose(np.delete(ours, 3, axis=1), (varied - varied.mean(0)) / varied.std(0), atol=1e-4)
    assert (ours[:, 3] == 0).all()


def test_a_copy_keeps_its_own_layers_still():
    model = net()
    plug = LinearProbe(norm_features=False).plug(parts(model))
    plug.params([{"params": [*model.parameters()]}], model)
    twin = copy.deepcopy(model)
    model.eval()
    twin.train()
    assert [name for name, module in twin.named_modules() if module.training] == ["", "head"]
    assert not model.training and not model.conv1_1_norm.training
    model.train()
    plug.close()
    assert all(module.training for module in model.modules())
    assert all(weight.requires_grad for weight in model.parameters())


STEM = {"conv1_1.weight", "conv1_1_norm.weight", "conv1_1_norm.bias", "conv1_1_norm.running_mean", "conv1_1_norm.running_var"}
STEM |= {"conv1_1_norm.num_batches_tracked"}
ALL = set(net().state_dict())


@pytest.mark.parametrize(
    ("knobs", "still"),
    [
        ("{layers: stem}", STEM),
        ("{layers: backbone}", ALL - {"head.weight", "head.bias"}),
        ("{layers: none}", set()),
        ("{layers: pattern, pattern: conv2_1_norm}", {name for name in ALL if name.startswith("conv2_1_norm")}),
        ("{layers: pattern, pattern: 'conv?_1.weight'}", {"conv1_1.weight", "conv2_1.weight"}),
    ],
)
def test_frozen_layers_do_not_move(fly, knobs, still):
    edits = (f"tricks.freeze={knobs}", "train.epochs=1")
    start = {name: value.clone() for name, value in job_of(CNN, *edits).model.state_dict().items()}
    now = weights(fly(CNN, *edits))
    assert {name for name in now if torch.equal(now[name], start[name])} == still


def test_the_stem_of_a_vit_is_its_patches():
    model = net(text=CNN.replace("{name: small_cnn, widths: [4, 8], convs: 1}", VIT))
    Freeze().plug(parts(model))
    assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == ["patches.weight", "patches.bias"]


def test_layers_learn_from_an_epoch_on_and_only_then(fly):
    edits = ("tricks.freeze={layers: backbone, until_epoch: 1}", "tricks.grad_clip={max_norm: 0.5}", "train.probe_every=1")
    start = {name: value.clone() for name, value in job_of(CNN, *edits).model.state_dict().items()}
    one, two = (weights(fly(CNN, *edits, f"train.epochs={epochs}")) for epochs in (1, 2))
    assert {name for name in ALL if not torch.equal(one[name], start[name])} == {"head.weight", "head.bias"}
    assert {name for name in ALL if torch.equal(two[name], one[name])} == set()
    assert int(two["conv1_1_norm.num_batches_tracked"]) == 6
    measured_less = weights(fly(CNN, *edits[:2], "train.probe_every=1000", "train.epochs=2"))
    assert_same(two, measured_less)


def test_waiting_layers_leave_no_gradient_behind():
    model = net()
    plug = Freeze(layers="stem", until_epoch=1).plug(parts(model))
    model(images().clean(torch.arange(8)).x).sum().backward()
    every = [weight.grad for weight in model.parameters()]
    assert plug.schedule(0.3, moment(9)) == 0.3
    left = plug.grads(Gradients(every, torch.tensor(9.0)), moment(9))
    assert len(left.tensors) == len(every) - 3 and left.norm is None
    assert model.conv1_1.weight.grad is model.conv1_1_norm.bias.grad is None and model.conv2_1.weight.grad is not None
    assert not model.conv1_1_norm.training and model.conv2_1_norm.training
    plug.schedule(0.3, moment(10))
    assert model.conv1_1_norm.training
    full = Gradients(every, torch.tensor(9.0))
    assert plug.grads(full, moment(10)) is full


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"layers": "pattern", "pattern": "layer9*"}, "no layer is called 'layer9\\*'; this network has conv1_1, conv1_1_norm"),
        ({"layers": "pattern", "pattern": "*"}, "nothing would be left to train"),
    ],
)
def test_patterns_that_freeze_nothing_or_everything(knobs, said):
    with pytest.raises(ValueError, match=said):
        Freeze(**knobs).plug(parts(net()))


@pytest.mark.parametrize("knobs", ["{layers: pattern}", "{pattern: conv1}"])
def test_a_pattern_and_its_choice_go_together(knobs):
    with pytest.raises(RecipeError, match="go together"):
        loads(CNN, edits=[f"tricks.freeze={knobs}"])


def test_knobs_round_trip():
    recipe = loads(CNN, edits=["tricks.fine_tune={run: a b/c, reset_head: off, lr_factor: 1}"])
    assert dataclasses.astuple(recipe.tricks["fine_tune"]) == ("a b/c", "best", 1, "off")
