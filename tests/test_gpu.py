"""What only a GPU can show; skipped where there is none."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from conftest import TINY
from test_catalogue import CHOICE, CNN, TOGGLES, earlier
from test_no_waiting import exempt, of

from cockpit.cards import Card
from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble, started
from cockpit.engine.logbook import Logbook
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.launch import new_run
from cockpit.recipe import loads, to_tree
from cockpit.runs.history import read_history

__all__ = ["earlier"]
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
ON_GPU = ("train.device=cuda", "train.batch_size=20", "train.epochs=20")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_on_the_gpu_learns_and_is_measured(fly, precision):
    history = read_history(fly(TINY, *ON_GPU, f"train.precision={precision}").run)
    assert history.ended is not None and history.ended.state == "finished"
    assert history.evaluations[-1].train_accuracy > history.evaluations[0].train_accuracy
    assert (history.steps["probing"] >= 0).all() and history.steps["probing"].max() > 0
    assert math.isfinite(history.evaluations[-1].val_loss)


def steps_without_a_wait(text: str, *edits: str) -> int:
    """Rows of layers measured in steps that may not wait. Raises RuntimeError where one does."""
    job, _ = assemble(loads(text, edits=edits), Places(root=data_root()))
    rows = []
    recorder = Recorder(lambda steps, layers: rows.append((steps, layers)))
    job.model.train()
    batches = list(itertools.islice(itertools.chain.from_iterable(job.rest_of_epoch() for _ in range(4)), 4))
    for places in batches:  # allocations of the first passes may wait
        take_step(job, places, recorder)
    recorder.flush()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for places in batches:
            take_step(job, places, recorder)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    recorder.flush()
    return sum(len(layers) for _, layers in rows)


def test_steps_with_and_without_probes_never_wait_for_the_device():
    assert steps_without_a_wait(TINY, *ON_GPU, "train.precision=fp32", "train.probe_every=5") > 0


@pytest.mark.parametrize("card", [param for param in (*TOGGLES, *CHOICE) if not exempt(param.values[0])])
def test_no_trick_waits_for_the_device(card: Card, earlier: str):
    assert steps_without_a_wait(CNN, *of(card, earlier), *ON_GPU, "train.precision=fp32", "train.probe_every=3") > 0


def test_a_recorder_with_the_default_flags_never_waits_between_its_blocks(tmp_path: Path):
    """What judges a step reads the record, which comes to the host by itself."""
    recipe = loads(TINY, edits=(*ON_GPU, "train.probe_every=5"))
    job, loaded = assemble(recipe, Places(root=data_root()))
    log = Logbook(new_run(recipe, tmp_path, "flags", allow_code=False, command=[]))
    log.history.recipe = to_tree(recipe)
    log.write(started(job, loaded))
    log.watch_with(recipe.flags.values())
    recorder = Recorder(log.deliver)
    job.model.train()
    batches = list(job.rest_of_epoch())
    for places in batches * 3:
        take_step(job, places, recorder)
    recorder.flush()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for places in batches * 10:
            take_step(job, places, recorder)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    recorder.flush()
    log.close()
    assert len(log.history.steps) == job.step
