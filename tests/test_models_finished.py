"""The network of a finished run: the one that was trained, or a sentence that says why not."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY
from kit import DIGITS

from cockpit.nets.finished import finished
from cockpit.runs.directory import RunDir


@pytest.fixture
def run(fly) -> RunDir:
    return fly(TINY, "train.epochs=1", name="teacher").run


def test_it_answers_as_the_trained_one_did(fly):
    flight = fly(TINY, "train.epochs=1")
    job = flight.job
    pixels = torch.rand(5, 1, 8, 8)
    again = finished(str(flight.run.path), DIGITS)
    assert not again.model.training
    seen = job.model.eval()((pixels - job.train.mean) / job.train.std)  # one epoch: its weights are the best so far
    torch.testing.assert_close(again.model(again.standardise(pixels)), seen)


def test_a_run_is_named_by_directory_id_or_name(run):
    found = [finished(name, DIGITS) for name in (str(run.path), run.id, "teacher")]
    assert all(torch.equal(found[0].model.head.weight, other.model.head.weight) for other in found)
    assert found[0].task == DIGITS


def test_it_draws_nothing_that_others_would_miss(run):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    finished(run.id, DIGITS)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_without_standardising_saw_plain_pixels(fly):
    net = finished(str(fly(TINY, "train.epochs=1", "data.standardise=none").run.path))
    pixels = torch.rand(2, 1, 8, 8)
    assert torch.equal(net.standardise(pixels), pixels)


@pytest.mark.parametrize(
    ("path", "said"),
    [("", "name a finished run"), ("nobody", "is called 'nobody'")],
)
def test_a_run_that_is_not_there(run, path, said):
    with pytest.raises(ValueError, match=said):
        finished(path, DIGITS)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (DIGITS._replace(classes=7), "tells 10 classes apart, and this task has 7"),
        (DIGITS._replace(height=16), "takes 8x8x1 images, and this task has 16x8x1"),
        (DIGITS._replace(channels=3), "takes 8x8x1 images, and this task has 8x8x3"),
    ],
)
def test_another_task_gets_a_sentence(run, task, said):
    with pytest.raises(ValueError, match=said):
        finished(run.id, task)


def spoil(run: RunDir, what: str) -> None:
    best = run.checkpoint("best")
    if what == "missing":
        best.unlink()
    elif what == "cut":
        best.write_bytes(best.read_bytes()[:500])
    elif what == "code":
        torch.save({"model": Path("x")}, best)
    elif what == "other":
        torch.save({"model": {"head.weight": torch.zeros(2, 2)}}, best)
    elif what == "list":
        torch.save([1], best)
    elif what == "unstarted":
        run.events.write_text("", encoding="utf-8")
    elif what == "recipe":
        run.recipe.write_text("model: {name: mlpp}", encoding="utf-8")
    elif what == "file":
        run.recipe.write_text("model: {name: file, path: evil.py}", encoding="utf-8")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", "has no checkpoint best.pt yet"),
        ("cut", "is damaged"),
        ("code", "holds more than weights"),
        ("other", "does not fit its recipe: it is damaged, or of another version"),
        ("list", "is damaged, or holds more than weights"),
        ("unstarted", "never began to train"),
        ("recipe", "the recipe of run .* cannot be read: .*mlpp"),
        ("file", "is code from a file"),
    ],
)
def test_a_run_that_cannot_teach_gets_a_sentence(run, what, said):
    spoil(run, what)
    with pytest.raises(ValueError, match=said):
        finished(str(run.path), DIGITS)


def test_a_moved_run_is_still_a_run(run, tmp_path):
    moved = shutil.copytree(run.path, tmp_path / "elsewhere")
    assert json.loads((moved / "launch.json").read_text())
    finished(str(moved), DIGITS)
