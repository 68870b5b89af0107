"""What only a GPU can show; skipped where there is none."""

import math

import pytest
import torch
from conftest import TINY

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.recipe import loads
from cockpit.runs.history import read_history

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
ON_GPU = ("train.device=cuda", "train.batch_size=20", "train.epochs=20")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_on_the_gpu_learns_and_is_measured(fly, precision):
    history = read_history(fly(TINY, *ON_GPU, f"train.precision={precision}").run)
    assert history.ended is not None and history.ended.state == "finished"
    assert history.evaluations[-1].train_accuracy > history.evaluations[0].train_accuracy
    assert (history.steps["probing"] >= 0).all() and history.steps["probing"].max() > 0
    assert math.isfinite(history.evaluations[-1].val_loss)


def test_steps_with_and_without_probes_never_wait_for_the_device():
    job, _ = assemble(loads(TINY, edits=(*ON_GPU, "train.precision=fp32", "train.probe_every=5")), Places(root=data_root()))
    rows = []
    recorder = Recorder(lambda steps, layers: rows.append((steps, layers)))
    job.model.train()
    batches = list(job.rest_of_epoch())
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
    assert sum(len(layers) for _, layers in rows) > 0
