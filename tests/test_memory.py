"""Steps for which the device has no room: a sentence with what fits, or the same batch in parts."""

import pytest
import torch
from conftest import TINY

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
