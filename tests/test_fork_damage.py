"""`cockpit fork` of a run that goes on meanwhile, and of one whose files are damaged: never a hole that nobody is told of."""

import numpy as np
import pytest
import torch
from commands import cockpit, refused
from conftest import TINY
from test_loop import stop_after

from cockpit.cli.forking import forked
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.directory import list_runs
from cockpit.runs.history import read_history
from cockpit.runs.launch_facts import parent
from cockpit.runs.state import beat
from cockpit.runs.tables import HEAD, LAYERS, STEPS


@pytest.fixture
def halted(runs):
    """A run of 18 steps that was stopped after its ninth."""
    recipe = loads(TINY, edits=["train.epochs=3", "train.keep=2"])
    flight = stop_after(Flight(new_run(recipe, runs, "halted", allow_code=False, command=[]), say=print), 9)
    flight.fly()
    return flight.run


def spoil(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def steps(run):
    return read_history(run).steps["step"].tolist()


def kept_step(run, which="last"):
    return torch.load(run.checkpoint(which), weights_only=True)["step"]


def test_a_run_that_goes_on_while_it_is_forked_leaves_no_hole(halted, runs, monkeypatch):
    import cockpit.launch

    look, calls = cockpit.launch.dump, []

    def late(recipe):
        if not calls:
            calls.append(recipe)
            Flight(halted, resume=True, say=print).fly()
        return look(recipe)

    monkeypatch.setattr(cockpit.launch, "dump", late)
    child, step = forked(halted, "last", [], "")
    assert kept_step(halted) == 18 and calls
    assert (kept_step(child), step, parent(child)) == (9, 9, (halted.id, 9))
    assert steps(child) == list(range(1, 10))
    assert [seen.step for seen in read_history(child).evaluations] == [6]
    assert {path.name for path in runs.iterdir()} == {halted.path.name, child.path.name}, "nothing else is left"


def without_its_last_word(run):
    """The log until before the line that tells of the newest checkpoint; returns the rest."""
    lines = run.events.read_text().splitlines(keepends=True)
    cut = max(n for n, line in enumerate(lines) if '"checkpointed"' in line and "last.pt" in line)
    run.events.write_text("".join(lines[:cut]))
    return "".join(lines[cut:])


def test_a_checkpoint_that_the_log_does_not_tell_of_is_refused(halted, runs):
    without_its_last_word(halted)
    said = refused("fork", halted.id, "--at", "last")
    assert "checkpoint last is of step 9" in said and "--at start" in said
    assert list_runs(runs) == [halted]


def test_the_log_of_a_living_run_is_waited_for(halted, monkeypatch):
    rest = without_its_last_word(halted)
    beat(halted.heartbeat, "running", 9)

    def sleep(seconds):
        with open(halted.events, "a") as file:
            file.write(rest)

    monkeypatch.setattr("cockpit.launch.time.sleep", sleep)
    child, step = forked(halted, "last", [], "")
    assert step == 9 and steps(child) == list(range(1, 10))


@pytest.mark.parametrize("how", ["random", "cut", "empty", "one byte"])
def test_a_damaged_checkpoint_is_told_of_before_there_is_a_run(halted, runs, how):
    path = halted.checkpoint("last")
    data = path.read_bytes()
    weight = torch.load(path, weights_only=True)["model"]["head.weight"].numpy().tobytes()
    at = data.index(weight)
    torn = {
        "random": np.random.default_rng(0).bytes(5000),
        "cut": data[: len(data) * 2 // 3],
        "empty": b"",
        "one byte": data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :],
    }
    path.write_bytes(torn[how])
    assert "checkpoint last.pt is damaged" in refused("fork", halted.id, "--at", "last")
    assert list_runs(runs) == [halted]


def test_a_checkpoint_that_is_not_there_names_those_that_are(halted):
    said = refused("fork", halted.id, "--at", "epoch 2")
    assert "has no checkpoint epoch_00002: it has last, best" in said
    assert "'epoch 1'" in said and "train.keep" in said
    halted.checkpoint("healthy").unlink(missing_ok=True)
    assert "train.keep" not in refused("fork", halted.id, "--at", "healthy")


def test_a_fork_of_a_fork_that_has_not_begun(halted):
    first, _ = forked(halted, "epoch 1", [], "")
    second, step = forked(first, "last", [], "")
    assert (step, kept_step(second), steps(second)) == (6, 6, list(range(1, 7)))


def test_a_whole_record_is_forked_without_a_word(halted, capsys):
    child, _ = forked(halted, "last", [], "")
    assert capsys.readouterr().err == "" and not read_history(child).notes[len(read_history(halted).notes) :]
    assert read_history(child).layers.tobytes() == read_history(halted).layers.tobytes()


def test_gaps_in_the_record_are_said_and_noted(halted, capsys):
    lines = halted.events.read_text().splitlines(keepends=True)
    halted.events.write_text("".join([*lines[:2], "{half a li\n", "\x00\n", *lines[2:]]))
    bytes_ = np.random.default_rng(0).bytes(10_000)
    spoil(halted.table("steps"), HEAD + 5 * STEPS.itemsize, bytes_[: 2 * STEPS.itemsize + 7])
    child, _ = forked(halted, "last", [], "")
    (said,) = capsys.readouterr().err.splitlines()
    assert f"2 of {len(lines) + 1} lines of events.jsonl unreadable" in said, "the last tells of the end, after the checkpoint"
    assert "metrics/steps.bin damaged after step 5" in said and "4 of 9 steps without a row" in said
    assert [note.text for note in read_history(child).notes if note.level == "warning"] == [said]
    assert steps(child) == [1, 2, 3, 4, 5]
    assert [seen.step for seen in read_history(child).evaluations] == [6]


def test_a_lost_or_garbled_table_is_said(halted, capsys):
    halted.table("steps").unlink()
    spoil(halted.table("layers"), HEAD + LAYERS.itemsize, b"\xff" * 8)
    child, _ = forked(halted, "last", [], "")
    said = capsys.readouterr().err
    assert "metrics/layers.bin damaged after step 0" in said and "9 of 9 steps without a row" in said
    assert steps(child) == [] and len(read_history(child).layers) == 1


def test_a_replay_is_of_what_can_be_read_and_says_so(fly, runs):
    run = fly().run
    whole = cockpit("replay", run.id)
    assert whole.code == 0 and whole.err == "" and " 12 steps " in whole.out
    with open(run.table("steps"), "ab") as file:
        file.write(np.array([2**60], "<i8").tobytes() + bytes(STEPS.itemsize - 8))
    done = cockpit("replay", run.id)
    assert done.code == 0 and " 12 steps " in done.out and "steps.bin damaged after step 12" in done.err
    spoil(run.table("steps"), HEAD + 7 * STEPS.itemsize, np.random.default_rng(1).bytes(5 * STEPS.itemsize))
    done = cockpit("replay", run.id)
    assert done.code == 0 and " 7 steps " in done.out and "steps.bin damaged after step 7, 5 of 12 steps" in done.err
    with open(run.events, "a") as file:
        file.write("junk\n")
    assert "lines of events.jsonl unreadable" in cockpit("replay", run.id).err
