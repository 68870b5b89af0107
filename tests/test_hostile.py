"""Careless users and damaged run directories: one clean sentence and an exit code, never a traceback."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import TINY

from cockpit import cli
from cockpit.runs import events as ev
from cockpit.runs.directory import RunError
from cockpit.runs.history import RunReader
from cockpit.runs.log import append_json
from cockpit.runs.state import machine, read_heartbeat, state_of

EVIL = "\x1b[31mred\x07 \u202e\udcff\nforged line"


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a command in this process; returns (exit code, standard output, standard error)."""

    def run(*arguments: str):
        monkeypatch.setattr(sys, "argv", ["cockpit", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        for text in (out, err):
            assert all(letter == "\n" or letter.isprintable() for letter in text), ascii(text)
            assert "Traceback" not in text
        return left.value.code or 0, out, err

    return run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path / "tiny.yaml"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train",), "Missing argument 'RECIPE'; `cockpit train --help`"),
        (("train", "--bogus"), "No such option: --bogus"),
        (("open", "a", "b"), "unexpected extra argument"),
        (("show", "x" * 5000), "there are no runs"),
        (("explain", EVIL), "there is no trick or flag"),
        (("train", ""), "no recipe file and no preset is called ''"),
        (("check", "first_flight", "--set", "train.device=meta"), "cannot be used here"),
        (("check", "first_flight", "--set", "data.val=1e308"), "at most 1,428 can go"),
        (("check", "first_flight", "--set", "data={source: folder, path: " + "x" * 5000 + "}"), "data.path:"),
        (("check", "first_flight", "--set", "data={source: folder, path: ~nobody_here/x}"), "data.path:"),
        (("check", "first_flight", "--set", "data={source: synthetic, size: 1024, train: 10000000}"), "not enough memory"),
    ],
)
def test_one_sentence_on_standard_error(call, arguments, words):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert words in err and len(err.splitlines()) == 1 and len(err) < 600


def test_the_runs_folder_is_a_file(call, runs, recipe):
    runs.write_text("")
    for arguments in (("runs",), ("show",), ("train", recipe)):
        assert call(*arguments)[::2] == (
            2,
            f"runs are kept in a folder, and {runs} is a file; COCKPIT_RUNS or --runs names another\n",
        )


def network(folder: Path, body: str) -> str:
    (folder / "net.py").write_text(
        f"import torch\nfrom torch import nn\ndef build(in_channels, num_classes, image_size):\n    {body}\n"
    )
    return f"model={{name: file, path: {folder / 'net.py'}}}"


LINEAR = "nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"raise RuntimeError({EVIL!r})", "RuntimeError: \\x1b[31mred\\x07 \\u202e\\udcff forged line"),
        ("return (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (f"return {LINEAR}.requires_grad_(False)", "no weights to train"),
    ],
)
def test_a_fault_in_the_users_network_is_told_with_its_place(call, recipe, body, words):
    code, out, err = call("check", recipe, "--allow-code", "--set", network(recipe.parent, body))
    assert (code, out) == (2, "") and words in err and len(err.splitlines()) == 1


def test_a_network_that_prints_and_answers_infinity_leaves_one_json_object(call, recipe):
    body = f"print('hello'); return nn.Sequential({LINEAR}, nn.Threshold(1e9, float('inf')))"
    edits = ("--allow-code", "--json", "--set", network(recipe.parent, body))
    code, out, err = call("check", recipe, *edits)
    told = json.loads(out)
    assert (code, told["ok"], told["initial_loss"]) == (1, False, None) and "hello" in err
    code, out, err = call("train", recipe, *edits)
    assert (code, json.loads(out)["state"]) == (1, "failed") and "hello" in err


def test_batch_norm_over_one_image_is_told_before_the_first_step(call, recipe):
    edits = ("--set", "data.limit=97", "--set", "train.drop_last=off")
    assert call("check", recipe, *edits)[0] == 0, "without batch norm one image is as good as any number"
    code, _, err = call("check", recipe, *edits, "--set", "model.norm=batch")
    assert code == 2 and "leaves the last batch of the 97 training images with 1 image" in err


def kill(run) -> None:
    """Leave the run as a host leaves it that died."""
    lines = run.events.read_text().splitlines(keepends=True)
    run.events.write_text("".join(line for line in lines if '"ended"' not in line))
    run.heartbeat.write_text(json.dumps(pulse(born=0.0)))


def pulse(**changed):
    mine = {"pid": os.getpid(), "born": 0.0, "host": "here", "machine": machine(), "time": time.time()}
    return mine | {"state": "running", "step": 1} | changed


def test_control_characters_in_a_run_never_reach_the_terminal(call, fly):
    flight = fly()
    kill(flight.run)
    append_json(flight.run.events, {"kind": "ended", "step": 3, "state": "failed", "reason": EVIL})
    code, out, _ = call("show")
    assert code == 0 and "failed: \\x1b[31mred\\x07 \\u202e\\udcff\\nforged line" in out
    assert "forged" in call("runs")[1] and json.loads(call("runs", "--json")[1])[0]["reason"] == EVIL
    assert ev.decode(ev.encode(ev.Noted(text=EVIL))) == ev.Noted(text=EVIL)


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "ended", "step": "a", "state": ["failed"]}',
        '{"kind": "evaluated", "epoch": "e", "train_loss": [], "best": 1}',
        '{"kind": "started"}',
        "[1]",
        "\xff",
    ],
)
def test_lines_that_are_no_events_are_left_out(fly, line):
    flight = fly()
    with open(flight.run.events, "a", encoding="latin-1") as file:
        file.write(line + "\n")
    reader = RunReader(flight.run)
    reader.poll()
    assert reader.state == "finished" and len(reader.history.evaluations) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "x"},
        {"pid": -5},
        {"born": []},
        {"time": None},
        {"state": "\x1b[31m"},
        {"state": {}},
        {"machine": "elsewhere", "time": ""},
    ],
)
def test_a_damaged_heartbeat_proves_nothing(fly, change):
    flight = fly()
    flight.run.heartbeat.write_text(json.dumps(pulse()))
    assert read_heartbeat(flight.run.heartbeat)
    flight.run.heartbeat.write_text(json.dumps(pulse() | change))
    assert read_heartbeat(flight.run.heartbeat) is None
    assert state_of(flight.run) == "new"


def test_damaged_files_beside_the_events(call, fly):
    run = fly().run
    run.ledger.write_text('{"accuracy": "x"}\n')
    assert "1 looks\n" in call("show")[1]
    run.ledger.unlink()
    run.ledger.mkdir()
    run.table("steps").unlink()
    assert call("show")[0] == call("runs")[0] == 0
    run.events.unlink()
    run.events.mkdir()
    assert call("show")[0] == call("runs")[0] == 0


@pytest.mark.parametrize("content", [b"", b"junk", "wrong keys", "wrong network"])
def test_a_checkpoint_that_cannot_be_used_is_named(call, fly, content):
    flight = fly()
    kill(flight.run)
    for which in ("last", "best"):
        path = flight.run.checkpoint(which)
        state = {"step": 1} if content == "wrong keys" else torch.load(path) | {"model": {"zz": torch.zeros(3)}}
        torch.save(state, path) if isinstance(content, str) else path.write_bytes(content)
    code, _, err = call("test")
    assert code == 2 and "checkpoint best.pt" in err and len(err.splitlines()) == 1
    code, out, _ = call("resume", flight.run.path, "--foreground")
    assert code == (1 if isinstance(content, str) else 0) and "checkpoint last.pt" in out and "the traceback" not in out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file that is always full")
def test_a_full_disk_costs_a_checkpoint_and_never_the_training(fly, runs, monkeypatch):
    from cockpit.engine import checkpoints, keeper

    save = checkpoints.save

    def full(path: Path, state, spare=None) -> None:
        path.with_suffix(".part").symlink_to("/dev/full")
        save(path, state, spare)

    monkeypatch.setattr(checkpoints, "save", full)
    monkeypatch.setattr(keeper, "PATIENCE", 0.5)
    flight = fly()
    reader = RunReader(flight.run)
    reader.poll()
    assert reader.state == "finished" and reader.history.step == 12
    assert any("checkpoint last was not written" in note.text for note in reader.history.notes)
    assert not list(flight.run.checkpoint("last").parent.iterdir())


def test_a_lost_metrics_folder_does_not_stop_a_resume(call, fly):
    run = fly(TINY, "train.epochs=1").run
    kill(run)
    for table in run.table("steps").parent.iterdir():
        table.unlink()
    run.table("steps").parent.rmdir()
    assert call("resume", run.path, "--foreground")[0] == 0


def test_one_host_holds_a_run(fly, runs):
    from cockpit.host.claim import claim

    run = fly().run
    kill(run)
    with claim(run), pytest.raises(RunError, match="is held by another process"), claim(run):
        pass
    with claim(run):
        pass


def test_a_removed_run_directory_ends_the_host_with_a_sentence(recipe, runs):
    command = [sys.executable, "-m", "cockpit", "train", str(recipe), "--set", "train.epochs=100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        (run,) = runs.iterdir()
        run.rename(runs.parent / "gone")
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert f"the run directory {run} was removed" in said and "Traceback" not in said


def test_a_reader_that_leaves_does_not_stop_the_training(recipe, runs):
    command = [sys.executable, "-m", "cockpit", "train", str(recipe)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        said = process.stderr.read()
        process.wait(60)
    assert (process.returncode, said) == (0, "")
    (run,) = runs.iterdir()
    assert '"state": "finished"' in (run / "events.jsonl").read_text()
