"""The same with a GPU: torch's own synced batch norm, and nccl where there are two."""

import pytest
import torch
from crew_kit import train_together
from test_distributed import CNN, farthest, saved

from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.history import read_history

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("device", ["cuda:0", "auto"])
def test_it_trains_what_one_process_trains(fly, runs, device):
    if device == "auto" and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    edits = ("train.batch_size=33", "train.drop_last=off", "tricks={mixup: on, weight_ema: on}", f"train.device={device}")
    alone = fly(CNN, *edits)
    run = new_run(loads(CNN, edits=edits), runs, "together", allow_code=False, command=[])
    train_together(run)
    assert read_history(run).ended.state == "finished"
    assert farthest(saved(alone.run)["model"], saved(run)["model"]) < 1e-4
    assert farthest(saved(run)["model"], saved(run, "rank1")) == 0
