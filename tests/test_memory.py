"""Steps for which the device has no room: a sentence with what fits, or the same batch in parts."""

import numpy as np
import pytest
import torch
from conftest import TINY

from cockpit.engine import loop
from cockpit.engine.training import Training
from cockpit.runs.history import read_history

NORMED = TINY.replace("norm: none", "norm: batch")


@pytest.fixture
def room(monkeypatch):
    """A device with room for so many images at once."""
    most = [10**9]
    objective = Training._plain_objective

    def limited(job, batch, at):
        if len(batch.x) > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return objective(job, batch, at)

    monkeypatch.setattr(Training, "_plain_objective", limited)
    return most


def test_in_parts_the_whole_batch_makes_the_same_step(fly, room):
    whole = fly(TINY)
    room[0] = 10
    parts = fly(TINY, "train.oom=halve")
    assert (parts.end.state, parts.job.part) == ("finished", 8)
    for one, other in zip(whole.job.model.parameters(), parts.job.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert parts.job.total_steps == whole.job.total_steps
    notes = [note.text for note in read_history(parts.run).notes if "no room" in note.text]
    assert [text.partition(":")[0] for text in notes] == [
        "the device has no room for 32 images at once",
        "the device has no room for 16 images at once",
    ]
    assert notes[1].endswith("parts of 8 make the batch")


def test_a_resumed_run_keeps_to_the_parts_that_fit(fly, room):
    from cockpit.host.flight import Flight

    room[0] = 16
    first = fly(TINY, "train.oom=halve", "train.epochs=1")
    again = Flight(first.run, resume=True, say=lambda text: None)
    again.fly()
    assert again.job.part == 16
    assert sum("no room" in note.text for note in read_history(first.run).notes) == 1


def test_without_leave_it_fails_with_what_would_fit(fly, room):
    room[0] = 9
    failed = fly(TINY)
    assert failed.end.state == "failed"
    assert failed.end.reason == (
        "the device cpu ran out of memory at step 1 with 32 images at once; 8 fit: train.batch_size=8, "
        "or train.oom=halve, which computes the same batch in such parts"
    )


@pytest.mark.parametrize("how", ["fail", "halve"])
def test_where_nothing_fits_it_says_so(fly, room, how):
    room[0] = 1
    failed = fly(NORMED, f"train.oom={how}")
    assert failed.end.state == "failed", "batch norm can do nothing with one image"
    assert "and fewer do not fit either; a smaller model" in failed.end.reason
    room[0] = 0
    assert "and fewer do not fit either" in fly(TINY, f"train.oom={how}").end.reason


def test_other_errors_of_the_step_are_not_taken_for_it(fly, monkeypatch):
    def broken(job, batch, at):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Training, "_plain_objective", broken)
    assert "mat1 and mat2" in fly(TINY, "train.oom=halve").end.reason


SQUASHED = TINY.replace("norm: none", "norm: none, activation: tanh").replace("lr: 0.1", "lr: 2.0")
"""A network whose units get stuck, so that an image counted twice would be seen."""


@pytest.fixture
def little(monkeypatch):
    """A device with room for so many images at once without gradients; it fails at the head, when the hooks before it ran."""
    most, forward, train = [10**9], torch.nn.Linear.forward, loop.train
    flying = []

    def watched(*parts):
        flying.append(parts)  # building a network passes two images as well
        try:
            return train(*parts)
        finally:
            flying.clear()

    def limited(layer, x):
        if flying and layer.out_features == 10 and not torch.is_grad_enabled() and len(x) > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return forward(layer, x)

    monkeypatch.setattr(torch.nn.Linear, "forward", limited)
    monkeypatch.setattr(loop, "train", watched)
    return most


def looks_of(run):
    """What the looks at the network told, and no more: (figures of the evaluations, of the start, of the units)."""
    history = read_history(run)
    seen = [(e.train_loss, e.val_loss, e.train_accuracy, e.val_accuracy, e.probe_size, e.val_size) for e in history.evaluations]
    start = (history.measured.loss, history.measured.accuracy, history.measured.samples)
    units = history.layers[np.isfinite(history.layers["weight_std"])]
    return seen, start, np.stack([units["dead"], units["saturated"]])


@pytest.mark.parametrize("how", ["fail", "halve"])
@pytest.mark.parametrize("text", [TINY, SQUASHED])
def test_an_evaluation_in_parts_sees_the_same(fly, little, text, how):
    whole = fly(text)
    little[0] = 20
    parts = fly(text, f"train.oom={how}")
    assert (parts.end.state, parts.job.part) == ("finished", 0) and parts.job.room.most <= 20
    for one, other in zip(looks_of(whole.run), looks_of(parts.run), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert sum("in an evaluation" in note.text for note in read_history(parts.run).notes) == 1
    assert text is TINY or np.nanmax(looks_of(whole.run)[2]) > 0, "no unit got stuck"


@pytest.mark.parametrize("most", [2, 3, 20])
def test_the_pass_in_training_mode_is_made_in_parts_as_well(fly, little, most):
    whole = fly(NORMED)
    little[0] = most
    parts = fly(NORMED)
    assert parts.end.state == "finished"
    (*_, one), (*_, other) = read_history(whole.run).evaluations, read_history(parts.run).evaluations
    assert (one.val_accuracy, one.val_loss) == pytest.approx((other.val_accuracy, other.val_loss), rel=1e-5)
    assert np.isfinite(other.train_mode_loss)


def test_an_evaluation_without_room_for_one_image_says_so(fly, little):
    little[0] = 1
    assert fly(TINY).end.reason == ""
    assert "in an evaluation with 2 images, the fewest that batch norm can do with, at once" in fly(NORMED).end.reason
    little[0] = 0
    assert fly(TINY).end.reason == (
        "the device cpu ran out of memory in an evaluation with a single image at once; "
        "a smaller model or smaller images need less"
    )


def test_a_last_image_alone_does_not_fail_the_pass_in_training_mode(fly):
    flight = fly(NORMED.replace("limit: 200", "limit: 257"), "train.epochs=1")
    assert flight.end.reason == "" and np.isfinite(read_history(flight.run).evaluations[0].train_mode_loss)
