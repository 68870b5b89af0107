"""The next batch as it is shown: the one that the loop takes, with its mixed labels; and the commands that look at runs."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import answer, cockpit, refused
from conftest import TINY
from test_checks import job_of
from test_loop import stop_after

from cockpit.engine.preview import of_recipe, of_run, thumbnails
from cockpit.engine.training import Training
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.directory import RunDir
from cockpit.runs.thumbnails import half_blocks, picture, shaded, shrunk
from cockpit.travel import Batch

MIXED = TINY + "tricks: {mixup: on, random_crop: {pad: 1}}\n"


def run_until(runs: Path, steps: int) -> RunDir:
    """A run stopped after so many steps."""
    run = new_run(loads(MIXED), runs, "stopped", allow_code=False, command=[])
    stop_after(Flight(run, say=print), steps).fly()
    return run


def batch_after(runs: Path, steps: int) -> Batch:
    """The batch that a run takes as its next step after so many."""
    flight = Flight(new_run(loads(MIXED), runs, "whole", allow_code=False, command=[]), say=print)
    obey, taken = flight.control.obey, []

    def listening(job: Training, *rest: Any) -> str:
        if job.step == steps:
            take = job.batches
            job.batches = lambda *given: taken.append(take(*given)) or taken[-1]  # type: ignore[method-assign]
        return obey(job, *rest)

    flight.control.obey = listening  # type: ignore[method-assign]
    flight.fly()
    (batch,) = taken[0]
    return batch


def pixels_of(job: Training, x: torch.Tensor) -> Any:
    """uint8 (B, H, W, C)."""
    return ((x * job.train.std + job.train.mean).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("steps", [3, 6, 8])
def test_the_preview_of_a_run_is_the_batch_that_it_takes_next(steps: int, runs: Path):
    run = run_until(runs, steps)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    seen = of_run(run, 32)
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    batch, job = batch_after(runs, steps), job_of(MIXED)
    shown = np.stack([np.frombuffer(one.pixels, np.uint8).reshape(one.shape) for one in seen])
    assert np.array_equal(shown, pixels_of(job, batch.x))
    for one, y in zip(seen, batch.y, strict=True):
        told = {int(name): share for name, share in one.target}
        assert told == {k: pytest.approx(float(y[k]), abs=5e-4) for k in range(10) if y[k] >= 0.01}
        assert [*told.values()] == sorted(told.values(), reverse=True)


def test_the_preview_of_a_recipe_is_the_first_batch():
    job = job_of(TINY)
    places = next(job.rest_of_epoch())[:5]
    seen = of_recipe(loads(TINY), 5)
    raw = job.train.pixels[places].float() * job.train.scale * 255
    for one, image, label in zip(seen, raw, job.train.labels[places], strict=True):
        shown = np.frombuffer(one.pixels, np.uint8).reshape(one.shape).astype(float)
        assert np.abs(shown - image.permute(1, 2, 0).numpy()).max() <= 0.5 + 1e-3, "standardised and back"
        assert one.target == ((str(int(label)), 1.0),)
    assert len(of_recipe(loads(TINY), 64)) == 32, "no more than a batch"


def test_colours_and_several_images_at_once_are_shown():
    job = job_of(TINY, "data={source: synthetic, size: 8, channels: 3, train: 100, test: 20}")
    assert {one.shape for one in thumbnails(job, tuple("0123456789"), 4)} == {(8, 8, 3)}
    several = job_of(TINY, "model={name: small_cnn, widths: [8]}", "tricks.mimo=on")
    assert {one.shape for one in thumbnails(several, tuple("0123456789"), 4)} == {(8, 8, 1)}


def test_a_picture_reads_what_is_printed():
    plain = of_recipe(loads(MIXED), 4)[1].plain()
    read = picture(json.loads(json.dumps(plain)))
    assert read.pixels.shape == (8, 8, 3) and (read.pixels[..., 0] == read.pixels[..., 2]).all()
    assert read.pixels[..., 0].tobytes() == base64.b64decode(plain["pixels"])
    mixed = picture({**plain, "target": [["cat", 0.61], ["dog", 0.39]]})
    assert mixed.caption == "61% cat + 39% dog"
    assert picture({**plain, "target": [["cat", 1.0]]}).caption == "cat"
    with pytest.raises(ValueError):
        picture({**plain, "shape": [9, 9, 1]})


def test_half_blocks_hold_two_pixels_and_shades_their_mean():
    pixels = np.zeros((3, 2, 3), np.uint8)
    pixels[0, 0], pixels[1, 0], pixels[2, 1] = (255, 0, 16), (1, 2, 3), (255, 255, 255)
    rows = half_blocks(pixels)
    assert rows[0][0] == ("▀", "#ff0010 on #010203") and rows[1][1] == ("▀", "#ffffff on #000000")
    assert [len(row) for row in rows] == [2, 2]
    assert shaded(np.full((2, 1, 3), 255, np.uint8)) == ["@"] and shaded(np.zeros((1, 1, 3), np.uint8)) == [" "]
    assert shaded(np.array([[[255] * 3], [[0] * 3]], np.uint8)) == ["="]
    assert shrunk(np.zeros((32, 48, 3)), 16).shape == (11, 16, 3) and shrunk(np.zeros((8, 8, 3)), 16).shape == (8, 8, 3)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "mixed.yaml"
    path.write_text(MIXED)
    return str(path)


def test_preview_prints_pictures_with_whole_captions_and_json(recipe: str):
    done = cockpit("preview", recipe, "--count", "6")
    lines = done.out.splitlines()
    plain = answer("preview", recipe, "--count", "6")
    captions = [picture(one).caption for one in plain]
    assert done.code == 0 and done.err == "" and len(plain) == 6
    assert all(any(caption in line for line in lines) for caption in captions), "cut to the width of an image"
    assert any("+" in caption for caption in captions)
    rows = [line for line in lines if not any(caption in line for caption in captions)]
    assert len(rows) == 4 * (len(lines) - len(rows)) and "@" in "".join(rows)
    assert all("\x1b" not in line for line in lines)


def test_preview_of_a_run_by_name_and_of_a_preset(fly: Any, tmp_path: Path):
    run = fly(MIXED, name="named").run
    assert answer("preview", "named", "--count", "2") == [one.plain() for one in of_run(run, 2)]
    assert answer("preview", str(run.path), "--count", "2") == answer("preview", run.id, "--count", "2")
    assert "a run's batch is what it is" in refused("preview", "named", "--set", "train.batch_size=8")
    fly(MIXED, name="names")
    assert "could be any of 2 runs" in refused("preview", "name")


def test_what_cannot_be_previewed_is_a_sentence(recipe: str, tmp_path: Path):
    assert "no recipe file and no preset is called 'nowhere'" in refused("preview", "nowhere")
    assert "empty" in refused("preview", recipe, "--set", f"data={{source: folder, path: {tmp_path / 'empty'}}}")
    assert "--allow-code" in refused("preview", recipe, "--set", "model={name: file, path: net.py}")
    (tmp_path / "net.py").write_text("def build(**_):\n    raise KeyError('no such layer')\n")
    told = refused("preview", recipe, "--allow-code", "--set", f"model={{name: file, path: {tmp_path / 'net.py'}}}")
    assert "no such layer" in told
    assert cockpit("preview", recipe, "--count", "65").code == 2


def test_class_names_cannot_drive_the_terminal(monkeypatch: pytest.MonkeyPatch, recipe: str):
    from cockpit.cli import seeing

    named = {**of_recipe(loads(TINY), 1)[0].plain(), "target": [["\x1b[2Jcat", 1.0]]}
    monkeypatch.setattr(seeing, "_thumbnails", lambda *_: [type("T", (), {"plain": lambda _: named})()])
    assert "\x1b" not in cockpit("preview", recipe).out


def test_examine_prints_its_checks_and_one_json_object(fly: Any):
    run = fly(TINY, name="trained").run
    text = cockpit("examine", "trained", "--with", "weights noise_scale")
    assert text.code == 0 and text.out.startswith("weights: 2 layers") and "\nnoise_scale: " in text.out
    told = answer("examine")
    assert (told["id"], told["step"]) == (run.id, torch.load(run.checkpoint("best"), weights_only=True)["step"])
    assert {"weights", "noise_scale", "sharpness"} <= {found["name"] for found in told["checks"]}
    assert told["checks"][0]["histograms"]["fc1"][2]


def test_what_cannot_be_examined_is_a_sentence(fly: Any, runs: Path):
    assert "there are no runs" in refused("examine")
    run = fly(TINY, name="trained").run
    assert "unknown examination 'lr_range'" in refused("examine", "--with", "lr_range")
    assert "no run under" in refused("examine", "zzzz")
    run.checkpoint("best").unlink()
    assert refused("examine") == "there is no checkpoint best.pt yet"


def test_longer_checks_of_a_recipe(recipe: str):
    told = answer("check", recipe, "--with", "weights,noise_scale")
    assert [found["name"] for found in told["checks"]] == ["weights", "noise_scale"] and told["ok"]
    hopeless = cockpit("check", recipe, "--with", "overfit_one_batch", "--set", "model.init=zeros", "--json")
    assert hopeless.code == 1 and not json.loads(hopeless.out)["ok"]
    assert "not ready" in cockpit("check", recipe, "--with", "weights", "--set", "model.init=zeros").out.splitlines()[-1]
    assert "unknown check 'nonsense'" in refused("check", recipe, "--with", "weights nonsense")
