"""What `show`, `runs` and `check` print of scores that are unknown, of remedies, and of doubts."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import ui_canned
from commands import answer, cockpit
from conftest import TINY

from cockpit.cli.looking import verdict
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.log import LineWriter
from cockpit.runs.state import beat


def add(run: RunDir, *events: ev.Event) -> None:
    writer = LineWriter(run.events)
    for event in events:
        writer.append(ev.encode(event))
    writer.close()


@pytest.fixture
def run(runs: Path) -> RunDir:
    return ui_canned.write_run(runs, epochs=7)


def unknown(run: RunDir, **scores: object) -> None:
    """One more evaluation, the best, of which no accuracy is known."""
    from cockpit.runs.history import read_history

    last = read_history(run).evaluations[-1]
    nan = {"val_accuracy": math.nan, "train_accuracy": math.nan}
    add(run, replace(last, best=True, score="mcc", **nan, **scores))


def test_an_accuracy_that_is_unknown_is_not_0(run: RunDir) -> None:
    unknown(run, scores={}, plain_accuracy=math.nan, weights="weight_ema")
    shown = cockpit("show")
    assert "val accuracy unknown with weight_ema · mcc unknown" in shown.out and shown.code == 0
    assert "train accuracy unknown · val unknown" in shown.out and "0.00%" not in shown.out
    listed = cockpit("runs")
    assert listed.code == 0 and "best val" not in listed.out and run.id in listed.out
    assert answer("runs")[0]["best"]["val_accuracy"] is None is answer("show")["best"]["plain_accuracy"]


def test_a_score_of_nought_is_one(run: RunDir) -> None:
    unknown(run, scores={"mcc": 0.0})
    assert "mcc 0.0000" in cockpit("show").out


def test_the_ways_out_of_what_stands(run: RunDir) -> None:
    *_, found = answer("show")["flags"]
    assert found["id"] == "overfitting"
    assert found["remedies"][2] == {
        "label": "lower the learning rate to 0.005",
        "edits": [["optimizer.lr", "0.005"]],
        "verb": "",
        "since": "before",
        "applied_step": None,
    }
    lines = cockpit("show").out.splitlines()
    at = next(number for number, line in enumerate(lines) if "overfitting at step" in line)
    assert lines[at + 1 : at + 5] == [
        "    1 stop and keep the best weights",
        "    2 smooth the labels (tricks.label_smoothing.epsilon=0.1)",
        "    3 lower the learning rate to 0.005 (optimizer.lr=0.005)",
        "    4 decay the weights (optimizer.weight_decay=0.0005)",
    ]
    assert [one["remedies"] for one in answer("show")["flags"] if one["cleared_step"]] == [[]]


def test_what_was_applied_and_what_was_silenced_is_told(run: RunDir) -> None:
    edits = (("optimizer.weight_decay", "0.0005"),)
    add(run, ev.Remedied(step=2930, id="overfitting", label="decay the weights", edits=edits))
    assert answer("show")["flags"][-1]["remedies"][3]["applied_step"] == 2930
    assert "    4 decay the weights (applied at step 2930)" in cockpit("show").out
    assert "    3 lower the learning rate to 0.005 (optimizer.lr=0.005)" in cockpit("show").out
    silence = ev.Edited(step=2935, path="flags.overfitting", old="on", new="off", live=True)
    add(run, silence, ev.Cleared(step=2935, id="overfitting"))
    text = cockpit("show").out
    assert "(silenced at step 2935)" in text and "(cleared at step 1200)" in text and "decay the weights" not in text
    assert [one["silenced"] for one in answer("show")["flags"]] == [False, True]


@pytest.mark.parametrize("released", [True, False])
def test_a_pause_that_gave_the_device_back_is_told_from_another(runs: Path, released: bool) -> None:
    paused = new_run(loads(TINY), runs, "waits", allow_code=False, command=[])
    beat(paused.heartbeat, "paused", 9)
    add(paused, ev.Paused(step=9, released=released))
    assert (answer("show")["released"], answer("runs")[0]["released"]) == (released, released)
    words = "device given back"
    assert (words in cockpit("runs").out, words in cockpit("show").out.splitlines()[0]) == (released, released)
    add(paused, ev.Continued(step=9))
    beat(paused.heartbeat, "running", 9)
    assert answer("show")["released"] is False and words not in cockpit("runs").out


@pytest.mark.parametrize(
    ("ok", "severities", "words"),
    [
        (True, [], "ready to train"),
        (True, ["info"], "ready to train"),
        (True, ["warning", "info"], "can train; 1 warning"),
        (True, ["warning", "warning"], "can train; 2 warnings"),
        (False, ["critical", "warning"], "not ready; 1 critical; 1 warning: see above"),
        (False, [], "not ready: see above"),
    ],
)
def test_the_last_word_of_a_check(ok: bool, severities: list[str], words: str) -> None:
    assert verdict({"ok": ok, "flags": [{"severity": severity} for severity in severities]}) == words


def test_check_does_not_call_a_warning_ready(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    done = cockpit("check", str(path), "--set", "model.init=zeros")
    assert (done.code, done.out.splitlines()[-1]) == (0, "can train; 1 warning")
    assert done.out.count("\nwarning ") == 1 and "ready" not in done.out
