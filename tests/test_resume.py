"""A run that was cut off goes on as if nothing had happened: late edits, damaged checkpoints, a disk that was full."""

import errno

import pytest
import torch
from commands import cockpit, refused
from conftest import TINY

from cockpit.engine import checkpoints
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.directory import list_runs
from cockpit.runs.history import read_history
from cockpit.runs.mailbox import Command
from cockpit.runs.tables import TableWriter


def flight_of(runs, *edits):
    return Flight(new_run(loads(TINY, edits=edits), runs, "test", allow_code=False, command=[]), say=lambda text: None)


def at_steps(flight, acts):
    """Call what stands at a step when it is done, before the commands are obeyed."""
    obey = flight.control.obey

    def acting(job, recorder, keeper):
        if job.step in acts:
            acts.pop(job.step)(flight)
        return obey(job, recorder, keeper)

    flight.control.obey = acting
    return flight


def order(verb, **args):
    return lambda flight: flight.control.post(Command(verb, args))


def cut_off(_):
    raise RuntimeError("cut off")


def resumed(flight):
    again = Flight(flight.run, resume=True, say=lambda text: None)
    again.fly()
    return again


def flip(path, part=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * part)] ^= 0x10
    path.write_bytes(content)


def same_weights(one, other):
    pairs = zip(one.job.model.state_dict().values(), other.job.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_an_edit_after_the_last_checkpoint_holds_again_from_its_own_step(runs):
    edits = {8: order("edit", path="optimizer.lr", value="0.01"), 9: order("edit", path="tricks.mixup", value="on")}
    whole = at_steps(flight_of(runs, "train.epochs=3"), dict(edits))
    whole.fly()
    cut = at_steps(flight_of(runs, "train.epochs=3"), edits | {11: cut_off})
    cut.fly()
    assert cut.end.state == "failed" and checkpoints.step_of(cut.run.checkpoint("last")) == 6
    again = resumed(cut)
    assert again.end.state == "finished" and same_weights(whole, again)
    ours, theirs = read_history(again.run), read_history(whole.run)
    assert [(e.step, e.path, e.new, e.live) for e in ours.edits] == [(e.step, e.path, e.new, e.live) for e in theirs.edits]
    assert ours.steps["loss"].tolist() == theirs.steps["loss"].tolist()
    assert ours.steps["lr"].tolist() == theirs.steps["lr"].tolist()


def test_an_edit_that_waits_for_the_next_run_goes_on_waiting(runs):
    cut = at_steps(flight_of(runs), {8: order("edit", path="model.widths", value="[8]"), 9: cut_off})
    cut.fly()
    history = read_history(resumed(cut).run)
    assert [(e.step, e.path, e.live) for e in history.edits] == [(8, "model.widths", False)]


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(runs, damage):
    whole = flight_of(runs, "train.epochs=4")
    whole.fly()
    cut = at_steps(flight_of(runs, "train.epochs=4"), {20: cut_off})
    cut.fly()
    last = cut.run.checkpoint("last")
    assert checkpoints.step_of(last) == 18
    if damage == "flip":
        flip(last)
    elif damage == "cut":
        last.write_bytes(last.read_bytes()[:-700])
    else:
        last.unlink()
    again = resumed(cut)
    assert again.end.state == "finished" and same_weights(whole, again)
    history = read_history(again.run)
    assert history.steps["step"].tolist() == list(range(1, 25))
    said = [note.text for note in history.notes if "goes on from before.pt, of step 12" in note.text]
    assert len(said) == (damage != "gone")
    assert last.with_suffix(".damaged").exists() == (damage != "gone")


def test_where_no_checkpoint_can_be_read_the_run_says_so_and_touches_nothing(runs):
    cut = at_steps(flight_of(runs, "train.epochs=3"), {14: cut_off})
    cut.fly()
    for path in cut.run.checkpoint("last").parent.iterdir():
        flip(path)
    again = resumed(cut)
    assert again.end.state == "failed" and again.end.reason.startswith("checkpoint last.pt is damaged")
    assert again.end.reason.endswith(
        f"; before.pt and healthy.pt cannot be read either: `cockpit fork {cut.run.id}` starts again from its first step"
    )
    assert read_history(cut.run).steps["step"].tolist() == list(range(1, 15))


def test_one_wrong_bit_in_the_weights_is_noticed(tmp_path):
    path = tmp_path / "last.pt"
    checkpoints.save(path, {"step": 3, "model": {"w": torch.zeros(10_000)}})
    flip(path)
    assert torch.load(path, weights_only=True)["model"]["w"].count_nonzero() == 1, "torch itself does not notice"
    with pytest.raises(checkpoints.CheckpointError, match=r"last\.pt is damaged: .* is not what was written"):
        checkpoints.load(path)


def test_a_checkpoint_that_does_not_read_back_never_takes_the_place_of_a_good_one(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    checkpoints.save(path, {"step": 3})
    write = torch.save

    def bad_disk(state, file):
        write(state, file)
        file.seek(-300, 2)
        file.write(b"x" * 200)

    monkeypatch.setattr(torch, "save", bad_disk)
    with pytest.raises(OSError, match="does not read back"):
        checkpoints.save(path, {"step": 4}, tmp_path / "before.pt")
    assert checkpoints.load(path)["step"] == 3
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".pt"] == ["last.pt"]


def test_what_a_full_disk_refuses_waits_in_memory(runs, monkeypatch, capfd):
    full, append = [False], TableWriter.append

    def refuse(table, rows):
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(table, rows)

    monkeypatch.setattr(TableWriter, "append", refuse)
    acts = {2: lambda _: full.__setitem__(0, True), 60: lambda _: full.__setitem__(0, False)}
    flight = at_steps(flight_of(runs, "train.epochs=15"), acts)
    flight.fly()
    assert flight.end.state == "finished"
    history = read_history(flight.run)
    assert history.steps["step"].tolist() == list(range(1, 91))
    assert len(history.evaluations) == 15 and history.ended
    (said,) = [note.text for note in history.notes if "took no records" in note.text]
    assert said.endswith("they waited in memory, none is lost")
    assert capfd.readouterr().err.count("takes no records (No space left on device)") == 1


def test_best_weights_that_were_damaged_do_not_fail_a_run_that_is_over(runs):
    flight = flight_of(runs, "train.epochs=3", "tricks.early_stopping={patience: 50}")
    flight = at_steps(flight, {18: lambda flight: flip(flight.run.checkpoint("best"))})
    flight.fly()
    history = read_history(flight.run)
    assert (flight.end.state, flight.end.kept) == ("finished", "last")
    assert any("the last weights stay in its place" in note.text for note in history.notes)


@pytest.mark.parametrize("damage", ["flip", "gone"])
def test_best_weights_that_are_lost_are_told_of_and_a_resume_makes_others(runs, damage):
    cut = at_steps(flight_of(runs, "train.epochs=3"), {14: cut_off})
    cut.fly()
    best = cut.run.checkpoint("best")
    flip(best) if damage == "flip" else best.unlink()
    said = refused("test", cut.run.id)
    assert said.endswith(
        f"; no other checkpoint is tested: `cockpit resume {cut.run.id}` goes on, and its next evaluation writes it anew"
    )
    again = resumed(cut)
    (note,) = [note for note in read_history(cut.run).notes if "counts as the best" in note.text]
    assert (note.level, note.step) == ("warning", 12)
    assert note.text.startswith("checkpoint best.pt is damaged" if damage == "flip" else "there is no checkpoint best.pt")
    assert again.end.state == "finished" and checkpoints.load(best)["step"] == 18
    flip(best)
    said = refused("test", cut.run.id)
    assert f"`cockpit fork {cut.run.id}` trains from the first step again, or with --at last or healthy and --set" in said
    cockpit("fork", cut.run.id, "--at", "last", "--set", "train.epochs=4", "--name", "on", "--foreground")
    cockpit("test", next(run.id for run in list_runs(runs) if run.name == "on"))


def test_a_step_that_goes_back_past_the_best_is_no_damage(runs):
    whole = flight_of(runs, "train.epochs=3")
    whole.fly()
    assert not [note for note in read_history(whole.run).notes if "counts as the best" in note.text]
    cut = at_steps(flight_of(runs, "train.epochs=3"), {14: cut_off})
    cut.fly()
    resumed(cut)
    assert not [note for note in read_history(cut.run).notes if "counts as the best" in note.text]
