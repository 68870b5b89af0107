"""Several processes train what one trains: the same weights within rounding, whatever the batch, and one record of it."""

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import TINY
from crew_kit import train_together

from cockpit.host.crew import begun, remember
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.history import read_history

CNN = TINY.replace("mlp, widths: [16], norm: none", "small_cnn, widths: [4, 8]")
CLOSE = 2e-5
"""What the order of additions may do to weights of about 1 in a dozen steps."""


@pytest.fixture
def together(runs):
    def start(text, *edits, **how):
        run = new_run(loads(text, edits=edits), runs, "together", allow_code=False, command=[])
        train_together(run, **how)
        return run

    return start


def saved(run, which="last"):
    return torch.load(run.path / "checkpoints" / f"{which}.pt", weights_only=True)


def farthest(one, two):
    assert one.keys() == two.keys()
    return max(float((one[name].double() - two[name].double()).abs().max()) for name in one)


@pytest.mark.parametrize(
    ("size", "edits"),
    [
        (2, ("train.batch_size=33", "train.drop_last=off", "optimizer.weight_decay=0.01")),  # ends in two images
        (
            3,
            (
                "tricks={mixup: on, random_crop: {pad: 1}, label_smoothing: on, weight_ema: on}",
                "optimizer=adam",
                "optimizer.lr=0.01",
            ),
        ),
        (2, ("tricks={grad_accumulation: {steps: 3}}", "train.batch_size=13")),
        (2, ("tricks={sam: on, random_erasing: on, grad_clip: on}", "train.epochs=1")),
        (2, ("optimizer={name: lbfgs, max_iter: 3}", "model.norm=none", "train.epochs=1")),
    ],
)
def test_it_trains_what_one_process_trains(fly, together, size, edits):
    alone, run = fly(CNN, *edits), together(CNN, *edits, size=size)
    one, several = saved(alone.run), saved(run)
    assert one["step"] == several["step"] and alone.end.state == read_history(run).ended.state == "finished"
    start = saved(alone.run, "healthy")["model"]
    assert farthest(one["model"], several["model"]) < CLOSE < 1000 * CLOSE < farthest(one["model"], start)
    assert farthest(several["model"], saved(run, "rank1")) == 0
    records = read_history(alone.run), read_history(run)
    for column in ("step", "loss", "grad_norm", "lr", "update_ratio"):
        one, other = (torch.tensor(seen.steps[column].tolist()) for seen in records)
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5, equal_nan=True), column
    one, other = (torch.tensor(seen.steps["accuracy"].tolist()) for seen in records)
    assert torch.allclose(one, other, atol=0.032, equal_nan=True)  # one image may stand on the edge
    for one, other in zip(*(seen.evaluations for seen in records), strict=True):
        assert other.val_loss == pytest.approx(one.val_loss, abs=1e-4) and other.val_size == one.val_size
        assert other.train_mode_loss == pytest.approx(one.train_mode_loss, abs=1e-4, nan_ok=True)
    dead = [seen.layer_series(0, "dead")[1].tolist() for seen in records]
    assert dead[0] == dead[1]


def test_commands_reach_every_process_between_the_same_two_steps(together):
    orders = [
        (3, "edit", {"path": "optimizer.lr", "value": "0.02"}),
        (5, "edit", {"path": "tricks.weight_ema", "value": "on"}),
        (6, "pause", {}),
        (6, "continue", {}),
        (20, "rollback", {}),
        (30, "stop", {}),
    ]
    run = together(CNN, "train.epochs=50", "tricks.dropout={p: 0.2}", orders=orders, size=3)
    history = read_history(run)
    assert history.ended.state == "stopped" and 30 <= history.ended.step < 300
    assert saved(run)["step"] == history.ended.step
    for rank in ("rank1", "rank2"):
        assert farthest(saved(run)["model"], saved(run, rank)) == 0
    events = [json.loads(line) for line in run.events.read_text().splitlines()]
    answers = [(event["verb"], event["ok"]) for event in events if event["kind"] == "commanded"]
    assert answers == [(verb, True) for _, verb, _ in orders]
    assert [event["path"] for event in events if event["kind"] == "edited"] == ["optimizer.lr", "tricks.weight_ema"]


def test_a_lost_run_is_failed_for_all_and_says_why(together):
    run = together(
        TINY, "optimizer.lr=20", "train.epochs=30", "model.widths=[64,64,64]", "optimizer.momentum=0.99", codes=[0, 1]
    )
    assert "the loss became" in read_history(run).ended.reason


def test_an_optimizer_that_differentiates_twice_is_refused(together):
    run = together(TINY, "optimizer={name: timm, which: adahessian}", codes=[0, 1])
    assert "takes second derivatives, which several processes cannot share" in read_history(run).ended.reason


def test_only_what_trains_may_be_started_by_torchrun():
    said = {**os.environ, "RANK": "0", "WORLD_SIZE": "2"}
    done = subprocess.run([sys.executable, "-m", "cockpit", "runs"], env=said, capture_output=True, text=True)
    assert done.returncode == 2 and "torchrun may start `train` and `resume`" in done.stderr


def test_torchrun_goes_on_in_the_run_that_it_began(runs, tmp_path, monkeypatch):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(TINY)
    run = new_run(loads(TINY), runs, "begun", allow_code=False, command=[])
    remember(run)
    assert begun(runs, str(recipe), ()) is None  # nobody but torchrun starts anything again
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job 7")
    assert begun(runs, str(recipe), ()) is None
    remember(run)
    assert begun(runs, str(recipe), ()) == run
    assert begun(runs, str(recipe), ("seed=1",)) is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job 8")
    assert begun(runs, str(recipe), ()) is None


def test_stop_and_resume_is_straight_through_to_the_bit(together, runs):
    edits = ("tricks={dropout: {p: 0.3}, mixup: on, weight_ema: on}", "optimizer=adam", "train.epochs=12")
    straight = together(CNN, *edits)
    broken = together(CNN, *edits, orders=[(9, "stop", {})])
    assert read_history(broken).ended.state == "stopped"
    assert 9 <= saved(broken)["step"] < saved(straight)["step"]
    train_together(broken, resume=True)
    assert read_history(broken).ended.state == "finished"
    assert farthest(saved(straight)["model"], saved(broken)["model"]) == 0
    steps = [read_history(run).steps for run in (straight, broken)]
    assert steps[0]["step"].tolist() == steps[1]["step"].tolist()
    assert steps[0]["loss"].tolist() == steps[1]["loss"].tolist()
