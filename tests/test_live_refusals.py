"""A live edit that a trick refuses changes nothing: the run goes on as it was, and takes the next edit."""

import pytest
import torch
from conftest import TINY

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.engine.training import Training
from cockpit.recipe import edit, loads

CNN = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [8], convs: 1}")


def built(text: str, *edits: str) -> Training:
    torch.set_num_threads(1)
    return assemble(loads(text, edits=edits), Places(root=data_root()))[0]


def step(job: Training) -> None:
    take_step(job, next(job.rest_of_epoch()), Recorder(lambda steps, layers: None))


def test_a_refused_trick_leaves_the_run_ready_for_the_next_edit() -> None:
    job = built(TINY)
    with pytest.raises(ValueError):
        job.rewire(edit(job.recipe, "tricks.train_resolution", "on"))
    assert job.recipe.tricks == {} and job.wiring.plan == {}
    job.rewire(edit(job.recipe, "tricks.mixup", "on"))
    step(job)
    assert list(job.wiring.plugs) == ["mixup"]


def test_a_refused_knob_leaves_the_old_trick_at_work() -> None:
    job = built(CNN, "tricks.drop_block={p: 0.5, block: 1}", "tricks.weight_ema=on")
    step(job)
    average = {name: value.clone() for name, value in job.wiring.plugs["weight_ema"].state_dict().items()}
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in job.model.modules())
    with pytest.raises(ValueError):
        job.rewire(edit(job.recipe, "tricks.drop_block.block", "31"))
    now = job.wiring.plugs["weight_ema"].state_dict()
    assert all(torch.equal(average[name], now[name]) for name in average)
    assert sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in job.model.modules()) == hooks
    step(job)


def test_dropout_hangs_on_the_head_that_is_there_in_the_end() -> None:
    job = built(CNN, "loss=cosine", "tricks.dropout.p=0.9")
    x = job.train.clean(torch.arange(8)).x
    job.model.train()
    assert not torch.equal(job.model(x), job.model(x))


def test_a_last_part_of_one_image_joins_the_part_before() -> None:
    job = built(TINY, "optimizer={name: gd, lr: 0.1}", "train.batch_size=27", "data.limit=190", "model.norm=batch")
    places = next(job.rest_of_epoch())
    assert len(places) % 27 == 1
    assert [len(batch.x) for batch in job.batches(places, job.moment())][-1] == 28
    step(job)


def test_an_optimizer_that_needs_a_graph_can_be_recorded(fly) -> None:
    flight = fly(CNN, "optimizer={name: timm, which: adahessian, lr: 0.01}", "train.epochs=1")
    assert flight.end.state == "finished", flight.end.reason


def test_attention_can_be_differentiated_twice_for_an_optimizer_that_asks(fly) -> None:
    vit = "model={name: vit, patch: 4, dim: 16, depth: 1, heads: 2}"
    flight = fly(TINY, vit, "optimizer={name: timm, which: adahessian, lr: 0.01}", "train.epochs=1")
    assert flight.end.state == "finished", flight.end.reason
