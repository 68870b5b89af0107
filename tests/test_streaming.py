"""Images streamed from files or from memory: the same run, bit for bit, as with all of them on the device."""

import gc
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from crew_kit import train_together
from PIL import Image
from test_loop import assert_same, stop_after, weights

from cockpit.datasets import means
from cockpit.datasets.base import DataError, Places
from cockpit.engine import blocks
from cockpit.engine.assemble import assemble, started
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.engine.testing import look
from cockpit.host.flight import Flight
from cockpit.recipe import loads
from cockpit.runs.history import read_history

RECIPE = """
about: a test
data: {{source: folder, path: "{folder}", size: 12, val: 0.2}}
model: {{name: small_cnn, widths: [4, 8]}}
optimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}
schedule: constant
train: {{epochs: 2, batch_size: 16, device: cpu, precision: fp32, drop_last: false}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """120 photographs of noise, of three classes and several sizes; every third a JPEG."""
    made, draws = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(120):
        kind = made / "abc"[number % 3]
        kind.mkdir(exist_ok=True)
        pixels = draws.integers(0, 256, (14 + number % 5, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(kind / f"{number:03}.{'jpg' if number % 4 == 0 else 'png'}")
    return made


@pytest.fixture
def text(folder) -> str:
    return RECIPE.format(folder=folder)


def job_of(text, *edits):
    job, loaded = assemble(loads(text, edits=edits), Places(root=Path("/nowhere")))
    job.model.train()
    return job, loaded


def children() -> set[int]:
    """The processes that decode for this one."""
    return {each.pid for each in psutil.Process().children() if "cockpit.datasets.decoder" in " ".join(each.cmdline())}


TRICKS = "tricks={mixup: on, random_crop: {pad: 1}, random_erasing: on, recalibrate_bn: on}"


@pytest.mark.parametrize("keep", ["files", "host"])
@pytest.mark.parametrize("processes", [1, 3])
def test_a_streamed_run_is_the_same_to_the_last_bit(fly, text, keep, processes, monkeypatch):
    monkeypatch.setattr(means, "decoders", lambda: processes)
    if processes > 1:  # images so large that each batch comes by itself
        monkeypatch.setattr(blocks, "BLOCK", 0)
    kept, streamed = fly(text, TRICKS), fly(text, TRICKS, f"data.keep={keep}")
    assert kept.job.train.stream is None and streamed.job.train.stream is not None
    assert_same(weights(kept), weights(streamed))
    one, two = (read_history(flight.run) for flight in (kept, streamed))
    assert one.steps["loss"].tolist() == two.steps["loss"].tolist()
    assert [(e.val_loss, e.train_loss, e.scores) for e in one.evaluations] == [
        (e.val_loss, e.train_loss, e.scores) for e in two.evaluations
    ]


@pytest.mark.parametrize("sampler", ["tricks.repeated_aug=on", "tricks.batch_growth=on"])
def test_whatever_draws_the_batches(fly, text, sampler):
    assert_same(weights(fly(text, sampler)), weights(fly(text, sampler, "data.keep=files")))


def test_stopped_in_an_epoch_and_resumed_elsewhere_it_is_still_the_same(fly, text, runs):
    from cockpit.launch import new_run

    whole = fly(text)
    run = new_run(loads(text, edits=("data.keep=files",)), runs, "parts", allow_code=False, command=[])
    first = stop_after(Flight(run, say=lambda text: None), 4)
    first.fly()
    assert first.job.step == 4
    second = Flight(run, say=lambda text: None)
    second.fly()
    assert_same(weights(whole), weights(second))


def test_images_are_ready_before_they_are_asked_for_also_at_the_end_of_an_epoch(text):
    job, _ = job_of(text, "data.keep=files", "train.epochs=3")
    recorder, stream, asked = Recorder(lambda steps, layers: None), job.train.stream, []
    real = stream.images.begin
    stream.images.begin = lambda slot, places: (asked.extend(places.tolist()), real(slot, places))[1]
    for number in range(3):
        steps = job.rest_of_epoch()
        for places in steps:
            take_step(job, places, recorder)
        if number == 0:
            for places in job.val_places():
                job.val.clean(places)
        begun = [place for epoch in range(min(number + 2, 3)) for batch in job._drawn(epoch) for place in batch.tolist()]
        assert asked == begun, "each image of this epoch and the next was begun once, in order, and none was thrown away"


def test_any_image_can_be_had_at_any_time(text):
    kept, streamed = (job_of(text, "train.epochs=1", f"data.keep={keep}")[0] for keep in ("device", "files"))
    for ids in (torch.tensor([3]), torch.arange(50).flip(0), torch.tensor([5, 5, 5]), torch.arange(0, 60, 2)):
        assert torch.equal(kept.train.clean(ids).x, streamed.train.clean(ids).x)
    for one, two in zip(kept.rest_of_epoch(), streamed.rest_of_epoch(), strict=True):
        for asked in (two, two[3:7], two, torch.arange(4)):  # a step in parts, and made again
            assert torch.equal(kept.train.take(asked).x, streamed.train.take(asked).x)
        assert torch.equal(one, two)
    assert len(streamed.train.stream.images.slots.free) == len(streamed.train.stream.images.slots), "every slot came back"


def test_a_process_that_is_killed_costs_a_warning_and_nothing_else(fly, text, monkeypatch):
    monkeypatch.setattr(means, "decoders", lambda: 2)
    monkeypatch.setattr(blocks, "BLOCK", 0)
    job, _ = job_of(text, "data.keep=files")
    other, _ = job_of(text)
    said = []
    for number, (one, two) in enumerate(zip(job.rest_of_epoch(), other.rest_of_epoch(), strict=True)):
        if number in (0, 3):
            victim = psutil.Process(max(children()))
            victim.kill()
            while victim.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
        assert torch.equal(job.train.clean(one).x, other.train.clean(two).x)
        said += job.news()
    said += job.train.take_news()
    assert said and set(said) == {"a process that decodes images ended unexpectedly; another took its place"}
    assert len(said) == 2
    del job
    gc.collect()
    assert not children(), "they end with the training"


def test_unreadable_files_are_replaced_by_their_neighbours(folder, tmp_path, text):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    job, _ = job_of(RECIPE.format(folder=broken), "data.keep=files")
    paths, labels = job.train.stream.images.paths, job.train.labels
    Path(paths[0]).write_bytes(b"nothing")
    ids = torch.arange(len(labels))
    seen = job.train.take(ids)
    after = int((labels[1:] == labels[0]).nonzero()[0]) + 1
    assert torch.equal(seen.x[0], seen.x[after]) and seen.y[0] == labels[after]
    assert torch.equal(seen.x, job.train.take(ids).x)
    (said,) = job.train.take_news()
    assert Path(paths[0]).name in said and Path(paths[after]).name in said
    for path in paths:
        Path(path).unlink()
    with pytest.raises(DataError, match="nor any of"):
        job.train.take(ids)


def test_what_is_said_of_it(text):
    job, loaded = job_of(text, "data.keep=files")
    assert started(job, loaded).data.home.startswith("streamed from their files by ")
    assert "mean and deviation are of all 77" in " ".join(loaded.notes)
    assert job.train.take_waited() >= 0.0
    job, loaded = job_of(text)
    assert started(job, loaded).data.home.startswith("in memory, ")
    with pytest.raises(DataError, match=r"data\.keep: digits does not come as image files"):
        job_of(text.replace(text.splitlines()[2], "data: {source: digits, keep: files}"))


def test_files_are_streamed_where_they_do_not_fit(text, monkeypatch):
    needed = 96 * 12 * 12 * 3  # a fifth of the 120 images is sealed
    monkeypatch.setattr(means, "memory_for_images", lambda: needed)
    assert job_of(text)[0].train.stream is None
    monkeypatch.setattr(means, "memory_for_images", lambda: needed - 1)
    assert job_of(text)[0].train.stream is not None
    assert job_of(text, "data.keep=device")[0].train.stream is None


def test_the_sealed_test_set_streams_when_it_is_opened(fly, text):
    one, two = (look(fly(text, f"data.keep={keep}").run) for keep in ("device", "files"))
    assert one["count"] == two["count"] == 24
    assert (one["accuracy"], one["loss"]) == (two["accuracy"], two["loss"])


def test_each_of_several_processes_streams(fly, text, runs):
    from cockpit.launch import new_run

    alone = fly(text)
    run = new_run(loads(text, edits=("data.keep=files",)), runs, "together", allow_code=False, command=[])
    train_together(run, size=2)
    ours, theirs = alone.job.model.state_dict(), torch.load(run.checkpoint("last"), weights_only=True)["model"]
    assert max(float((ours[name].double() - theirs[name].double()).abs().max()) for name in ours) < 2e-5
