"""Means over seeds against scipy, and the commands that train or combine several runs."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import answer, cockpit, refused
from conftest import TINY
from scipy import stats

from cockpit.recipe import loads
from cockpit.runs.directory import RunDir, list_runs
from cockpit.runs.history import read_history
from cockpit.runs.paired import Mean, mean_of, paired, student


@pytest.mark.parametrize("count", [2, 3, 5, 10, 11, 12, 17, 18, 40, 100])
def test_the_interval_of_a_mean_is_that_of_students_t(count: int):
    values = np.random.default_rng(count).normal(0.9, 0.01, count)
    found = mean_of(values.tolist())
    low, high = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    assert (found.mean, found.std, found.count) == (pytest.approx(values.mean()), pytest.approx(values.std(ddof=1)), count)
    assert (found.mean - found.half, found.mean + found.half) == (pytest.approx(low, rel=1e-4), pytest.approx(high, rel=1e-4))
    assert student(count - 1) == pytest.approx(stats.t.ppf(0.975, count - 1), rel=1e-3)


@pytest.mark.parametrize("gain", [0.0, 0.004, 0.02])
def test_a_paired_difference_tells_when_the_paired_t_test_does(gain: float):
    draw = np.random.default_rng(1)
    seeds = draw.normal(0.9, 0.05, 8)
    one, other = seeds + draw.normal(0, 0.003, 8), seeds + gain + draw.normal(0, 0.003, 8)
    found, expected = paired(one.tolist(), other.tolist()), stats.ttest_rel(other, one)
    low, high = expected.confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert found.tells == (expected.pvalue < 0.05)
    assert mean_of((other - one).tolist()) == found and abs(found.half) < mean_of(one.tolist()).half / 3, "the seeds cancel"


def test_what_one_run_and_none_can_tell():
    single = mean_of([0.5])
    assert (single.mean, single.count, single.tells) == (0.5, 1, False) and math.isnan(single.half)
    assert single.plain() == {"mean": 0.5, "std": None, "half": None, "count": 1}
    assert mean_of([0.5, 0.5]) == Mean(0.5, 0.0, 0.0, 2)
    assert not paired([1.0, 2.0], [2.0, 3.0]).tells, "two seeds that agree by chance give no interval"
    with pytest.raises(ValueError, match="no runs"):
        mean_of([])
    with pytest.raises(ValueError):
        paired([1.0, 2.0], [1.0])


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return str(path)


def test_repeat_trains_each_seed_with_and_without_the_change(recipe: str, runs: Path):
    told = answer(
        "repeat", recipe, "--seeds", "3", "--set", "seed=5", "--against", "optimizer.lr=0.01", "--against", "train.epochs=1"
    )
    assert {key: len(told["runs"][key]) for key in told["runs"]} == {"recipe": 3, "changed": 3}
    recipes = {run.id: loads(run.recipe.read_bytes(), "recipe.yaml") for run in list_runs(runs)}
    for key, (lr, epochs) in {"recipe": (0.1, 2), "changed": (0.01, 1)}.items():
        rows = told["runs"][key]
        mine = [recipes[row["id"]] for row in rows]
        assert [(one.seed, one.optimizer.lr, one.train.epochs) for one in mine] == [(s, lr, epochs) for s in (5, 6, 7)]
        assert [row["name"] for row in rows] == [f"tiny_{key}_s{s}" for s in (5, 6, 7)]
        best = [read_history(next(run for run in list_runs(runs) if run.id == row["id"])).best for row in rows]
        scores = [row["score"] for row in rows]
        assert scores == [seen.val_accuracy for seen in best if seen]
        assert told[key] == mean_of(scores).plain()
    scores = [[row["score"] for row in told["runs"][key]] for key in ("recipe", "changed")]
    assert told["difference"] == paired(*scores).plain()
    assert len({run.data.split_seed for run in recipes.values()}) == 1, "seeds are compared on one split"


def test_repeat_in_words_and_with_a_single_seed(recipe: str):
    done = cockpit("repeat", recipe, "--seeds", "2", "--against", "optimizer.lr=0.01")
    lines = done.out.splitlines()
    assert done.code == 0 and lines[0].startswith("recipe ") and lines[1].startswith("changed ")
    assert "95 %" in lines[0] and lines[2].startswith("optimizer.lr=0.01: ") and "2 paired seeds" in lines[2]
    for arm, line in zip(("recipe", "changed"), lines[3:], strict=True):
        assert line.startswith(arm) and "all together: cockpit ensemble " in line and len(line.split()) == 1 + 4 + 2
    ranked = cockpit("repeat", recipe, "--seeds", "2", "--set", "score=log_loss").out
    assert ranked.startswith("recipe    log_loss ") and "%" not in ranked.replace("95 %", "")
    single = answer("repeat", recipe, "--seeds", "1", "--against", "optimizer.lr=0.01")
    assert single["recipe"]["half"] is None and single["difference"]["std"] is None
    words = cockpit("repeat", recipe, "--seeds", "1", "--against", "optimizer.lr=0.01").out
    assert "nan" not in words and "one pair of seeds" in words


def test_repeat_says_what_is_wrong_before_it_trains(recipe: str, runs: Path):
    assert "optimizer.lr" in refused("repeat", recipe, "--against", "optimizer.lr=fast")
    assert "train.epochs" in refused("repeat", recipe, "--set", "train.epochs=0")
    for option in ("--set", "--against"):
        assert "--allow-code" in refused("repeat", recipe, option, "model={name: file, path: net.py}")
    assert cockpit("repeat", recipe, "--seeds", "0").code == 2
    assert not runs.exists() or list_runs(runs) == []


def test_a_seed_that_fails_ends_it_with_1(recipe: str):
    edits = ("optimizer.lr=20", "train.epochs=30", "model.widths=[64,64,64]", "optimizer.momentum=0.99")
    done = cockpit("repeat", recipe, "--json", *(word for change in edits for word in ("--set", change)))
    assert done.code == 1 and done.out == ""
    assert "ended as failed: the loss became" in done.err.splitlines()[-1]


@pytest.fixture
def pair(fly: Any) -> list[RunDir]:
    return [fly(TINY, f"optimizer.lr={lr}", name=name).run for lr, name in ((0.1, "fast"), (0.05, "slow"))]


def test_ensemble_in_words_and_as_one_object(pair: list[RunDir]):
    done = cockpit("ensemble", "fast", "slow")
    lines = done.out.splitlines()
    assert done.code == 0 and [line.split()[0] for line in lines[1:5]] == ["fast", "slow", "mean", "ensemble"]
    assert len({line.index("%") for line in lines[1:5]}) == 1, "columns"
    for combine in ("probabilities", "logits", "vote"):
        told = answer("ensemble", *(run.id for run in pair), "--combine", combine)
        assert told["combine"] == combine and told["weights"] == [0.5, 0.5] and told["images"] > 0
        assert [row["name"] for row in told["members"]] == [f"{run.name} {run.id}" for run in pair]
    fitted = answer("ensemble", "fast", "slow", "--fit")
    assert sum(fitted["weights"]) == pytest.approx(1)
    assert fitted["ensemble"]["log_loss"] <= told["mean"]["log_loss"]
    assert "fitted on the images they are scored on" in cockpit("ensemble", "fast", "slow", "--fit").out


def test_soup_in_words_and_as_one_object(pair: list[RunDir], runs: Path):
    told = answer("soup", "fast", "slow", "--name", "broth")
    assert told["taste"]["members"] == [run.id for run in pair] and [t for t, _ in told["line"]] == [0, 0.25, 0.5, 0.75, 1]
    assert told["line"][2][1] == told["taste"]["accuracy"] == answer("show", told["id"])["best"]["val_accuracy"]
    assert Path(told["dir"]).name.split("_")[2] == "broth"
    assert answer("runs")[0]["state"] == "finished"
    done = cockpit("soup", "fast", "slow", "--greedy")
    assert done.code == 0 and "alone" in done.out and "tried" in done.out and "kept as run" in done.out.splitlines()[-1]
    assert "broth" in cockpit("show", told["id"], "--plot").out
    assert answer("test", told["id"])["looks"] == 1
    assert answer("ensemble", told["id"], "fast")["images"] > 0
    assert answer("preview", told["id"]) and answer("examine", told["id"], "--with", "weights")["step"] > 0
    assert "finished: there is nothing left to train" in refused("resume", told["id"])


def test_unlike_roots_are_refused_unless_asked_for(pair: list[RunDir], fly: Any):
    fly(TINY, "seed=1", name="stranger")
    assert "have no common root" in refused("soup", "fast", "stranger")
    assert answer("soup", "fast", "stranger", "--any-root")["taste"]["accuracy"] < 0.7


@pytest.mark.parametrize("command", ["ensemble", "soup"])
def test_what_cannot_be_combined_is_a_sentence(command: str, pair: list[RunDir], fly: Any, runs: Path):
    assert "at least two different runs" in refused(command, "fast")
    assert "at least two different runs" in refused(command, "fast", pair[0].id)
    assert "is named twice" in refused(command, "fast", "slow", pair[0].id)
    assert "no run under" in refused(command, "fast", "nobody")
    assert "could be any of" in refused(command, "fast", "s", "slow") if fly(TINY, name="slowest") else False
    fly(TINY, "data.split_seed=1", name="elsewhere")
    assert "different" in refused(command, "fast", "elsewhere")
    pair[1].checkpoint("best").unlink()
    assert refused(command, "fast", pair[1].id) == f"run {pair[1].id} (slow): there is no checkpoint best.pt yet"
    assert not [run for run in list_runs(runs) if run.name == "soup"], "nothing is left behind"


def test_wrong_ways_to_combine_are_refused(pair: list[RunDir]):
    assert "'median' is none of probabilities, logits, vote" in refused("ensemble", "fast", "slow", "--combine", "median")
    assert "--fit" in refused("ensemble", "fast", "slow", "--combine", "vote", "--fit")


def test_what_a_network_prints_stays_out_of_the_json(recipe: str, tmp_path: Path, pair: list[RunDir]):
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\n\nclass Loud(nn.Sequential):\n    def forward(self, x):\n        print('forward!')\n"
        "        return super().forward(x)\n\ndef build(**_):\n    return Loud(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    loud = ("--set", f"model={{name: file, path: {net}}}", "--allow-code")
    told = answer("repeat", recipe, *loud, "--seeds", "2")
    ids = [row["id"] for row in told["runs"]["recipe"]]
    for words in (("ensemble", *ids), ("soup", *ids, "--any-root"), ("examine", ids[0]), ("preview", ids[0])):
        assert json.dumps(answer(*words))
