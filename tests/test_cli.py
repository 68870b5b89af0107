"""The commands as a user types them: real processes, exit codes, JSON, and sentences for what is wrong."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY

COCKPIT = [sys.executable, "-m", "cockpit"]


def cockpit(*arguments: str, ok: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COCKPIT, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == ok, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def answer(*arguments: str, ok: int = 0):
    return json.loads(cockpit(*arguments, "--json", ok=ok).stdout)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return str(path)


def wait_for(what, seconds: float = 60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def test_train_show_and_test(recipe, runs):
    told = answer("train", recipe, "--set", "optimizer.lr=0.05", "--name", "mine")
    assert {
        "id",
        "name",
        "dir",
        "state",
        "reason",
        "step",
        "epoch",
        "epochs",
        "seconds",
        "device",
        "params",
        "best",
        "last",
        "flags",
        "test",
    } <= told.keys()
    assert (told["state"], told["name"], told["step"], told["epoch"]) == ("finished", "mine", 12, 2.0)
    assert told["last"]["lr"] == pytest.approx(0.05)
    assert answer("show", "mine") == told
    assert [one["id"] for one in answer("runs")] == [told["id"]]
    assert told["id"] in cockpit("runs").stdout

    shown = cockpit("show", "--plot").stdout
    assert "sealed" in shown and "train" in shown and "┤" in shown
    first = answer("test", told["id"])
    assert first["looks"] == 1 and first["count"] == 359
    second = cockpit("test")
    assert "look 2" in second.stdout
    assert answer("show")["test"] == {"looks": 2, "accuracy": first["accuracy"]}


def test_start_stop_and_resume(recipe, runs):
    told = answer("start", recipe, "--set", "train.epochs=100000")
    wait_for(lambda: answer("show", told["id"])["step"] > 0)
    assert os.getsid(told["pid"]) == told["pid"], "the host has a session of its own"
    assert answer("runs")[0]["state"] == "running"
    stopped = answer("stop", told["id"])
    assert stopped["state"] == "stopped" and stopped["step"] > 0
    assert (Path(told["dir"]) / "checkpoints" / "last.pt").exists()
    assert "is not running: it is stopped" in cockpit("stop", told["id"], ok=2).stderr

    cockpit("resume", told["id"])
    wait_for(lambda: answer("show")["step"] > stopped["step"])
    assert "is running already" in cockpit("resume", ok=2).stderr
    pid = json.loads((Path(told["dir"]) / "heartbeat").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: answer("show")["state"] == "lost")
    told = answer("resume")
    wait_for(lambda: answer("show")["state"] == "running")
    assert answer("stop")["state"] == "stopped"


def test_ctrl_c_ends_with_a_checkpoint(recipe, runs):
    process = subprocess.Popen([*COCKPIT, "train", recipe, "--set", "train.epochs=100000"], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    wait_for(lambda: "epoch" in process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert "interrupted at step" in rest
    assert answer("show")["state"] == "interrupted"
    process.stdout.close()


def test_a_failed_run_exits_with_1_and_says_why(recipe):
    done = cockpit("train", recipe, "--set", "optimizer.lr=20", "--set", "model.widths=[64, 64, 64, 64]", ok=1)
    assert "the loss became nan" in done.stdout


def test_check_looks_before_the_first_step(recipe):
    text = cockpit("check", recipe, "--set", "tricks.mixup=on").stdout
    assert "ready to train" in text and "mixup" in text
    told = answer("check", recipe)
    assert told["ok"] and told["expected_loss"] == pytest.approx(2.302585, rel=1e-5)
    assert told["data"]["train"] == 200 and told["total_steps"] == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "first_fligt"), "first_flight"),
        (("train", "first_flight", "--set", "optimizer.lr=fast"), "optimizer.lr"),
        (("train", "first_flight", "--set", "optimzer.lr=1"), "optimizer"),
        (("check", "first_flight", "--set", "data.limit=2"), "data"),
        (("train", "nowhere.yaml"), "nowhere.yaml"),
        (("show", "zzzz"), "there are no runs under"),
        (("explain", "mixpu"), "mixup"),
        (("open", "first_flight", "--set", "train.epochs=0"), "train.epochs"),
        (("no_such_thing",), "no_such_thing"),
        (("train", "first_flight", "--set", "model={name: file, path: x.py}"), "--allow-code"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words):
    done = cockpit(*arguments, ok=2)
    assert words in done.stderr


def test_feed_says_one_sentence_to_a_terminal():
    ours, theirs = pty.openpty()
    done = subprocess.run([*COCKPIT, "feed", "nosuch"], stdin=theirs, stdout=theirs, stderr=theirs, timeout=120)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2 and said.startswith("this speaks to a cockpit, not to a terminal") and said.count("\n") == 1


def test_the_catalogue_in_words():
    presets = {one["name"] for one in answer("presets")}
    assert {"first_flight", "fashion_mnist", "mnist_mlp", "cifar10_resnet", "sick_overfitting"} <= presets
    tricks = answer("tricks")
    keys = {"name", "family", "kind", "summary", "knobs", "seams", "live", "conflicts", "source"}
    assert all(keys <= one.keys() for one in tricks)
    (mixup,) = [one for one in tricks if one["name"] == "mixup"]
    alpha = mixup["knobs"][0]
    assert alpha["help"] and {key: alpha[key] for key in ("name", "type", "default", "low", "high", "choices")} == {
        "name": "alpha",
        "type": "float",
        "default": 0.2,
        "low": 0,
        "high": 4,
        "choices": [],
    }
    assert {"non_finite", "overfitting"} <= {one["name"] for one in answer("flags")}
    assert "Beta" in cockpit("explain", "mixup").stdout
    assert cockpit("--version").stdout.strip()
