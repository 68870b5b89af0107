"""What the screen says of findings, their remedies and the way each takes."""

from dataclasses import replace
from pathlib import Path

import pytest
import ui_canned
from test_ui_model import canned, cards

from cockpit.recipe import loads
from cockpit.runs import events as ev
from cockpit.runs.history import History
from cockpit.ui.model.curves import marks
from cockpit.ui.model.findings import findings
from cockpit.ui.model.run import header
from cockpit.ui.model.ways import Way, way_of
from cockpit.ui.panes.finding_lines import block, full_finding

__all__ = ["cards"]  # a fixture


def test_findings_stand_worst_first_and_cleared_ones_last(runs: Path) -> None:
    history = canned(runs)
    history.fold(ev.Flagged(step=2950, id="non_finite", severity="critical", epoch=7.02, headline="loss is NaN"))
    shown = findings(history)
    assert [found.id for found in shown] == ["non_finite", "overfitting", "dead_relu"]
    assert [found.severity.word for found in shown[:2]] == ["critical", "warning"]
    assert shown[2].cleared == "cleared at step 1,200"
    assert ("best val loss", "0.323") in shown[1].evidence


def test_a_flag_that_rises_again_is_listed_once() -> None:
    history = History()
    for event in (
        ev.Flagged(step=1, id="dead_relu", severity="info", epoch=0.1, headline="a"),
        ev.Cleared(step=2, id="dead_relu"),
        ev.Flagged(step=3, id="dead_relu", severity="warning", epoch=0.3, headline="b"),
    ):
        history.fold(event)
    assert [(found.headline, found.cleared) for found in findings(history)] == [("b", "")]


def snoozed(history: History, until: int) -> tuple[list[str], str, bool]:
    history.fold(ev.Snoozed(step=history.step, id="overfitting", until=until))
    shown = findings(history)
    return [found.id for found in shown], shown[1].aside, shown[1].counts


def test_a_snoozed_finding_stands_last_and_does_not_count_until_it_wakes(runs: Path) -> None:
    history = canned(runs)
    history.fold(ev.Flagged(step=2950, id="dead_relu", severity="info", epoch=7.02, headline="a few"))
    assert snoozed(history, history.step + 1) == (["dead_relu", "overfitting"], "snoozed until epoch 7", False)
    assert snoozed(history, 12 * 420)[1] == "snoozed until epoch 12"
    history.snoozed["overfitting"] = history.step
    assert (findings(history)[0].id, findings(history)[0].counts) == ("overfitting", True)


def test_a_silenced_flag_is_put_aside_until_it_is_switched_on_again(runs: Path) -> None:
    history = canned(runs)
    history.fold(ev.Edited(step=2940, path="flags.overfitting", old="on", new="off", live=True))
    assert (findings(history)[0].aside, findings(history)[0].counts) == ("silenced", False)
    history.fold(ev.Edited(step=2940, path="flags.overfitting", old="off", new="on", live=True))
    assert findings(history)[0].counts


def test_a_flag_that_cleared_because_it_was_silenced_says_so(runs: Path) -> None:
    history = canned(runs)
    history.fold(ev.Edited(step=2940, path="flags.overfitting", old="on", new="off", live=True))
    history.fold(ev.Cleared(step=2940, id="overfitting"))
    found = next(found for found in findings(history) if found.id == "overfitting")
    assert (found.aside, found.cleared, found.counts) == ("silenced", "", False)
    assert "silenced" in str(block(found, 80)) and "cleared" not in str(block(found, 80))
    history.fold(ev.Edited(step=2950, path="flags.overfitting", old="off", new="on", live=True))
    found = next(found for found in findings(history) if found.id == "overfitting")
    assert (found.aside, found.cleared) == ("", "silenced at step 2,940")
    assert next(found for found in findings(history) if found.id == "dead_relu").cleared == "cleared at step 1,200"


def test_a_remedy_that_was_applied_is_marked_and_no_other(runs: Path) -> None:
    history = canned(runs)
    decay = ev.Remedied(step=2900, id="overfitting", label="decay the weights", edits=(("optimizer.weight_decay", "0.0005"),))
    history.fold(decay)
    history.fold(replace(decay, id="dead_relu", edits=(("tricks.label_smoothing.epsilon", "0.1"),)))
    history.fold(replace(decay, edits=(("optimizer.lr", "0.05"),)))  # the same path, another value
    history.fold(replace(decay, label="something else", edits=()))
    found = findings(history, lambda *_: Way.LIVE)[0]
    assert found.applied == ("", "", "", "applied at step 2,900")
    lines = str(block(found, 80)).splitlines()
    assert [line.split()[-3:] for line in lines if "[4]" in line] == [["at", "step", "2,900"]]
    assert [line.split()[-2:] for line in lines if "[3]" in line] == [["at", "once"]]
    assert str(full_finding(found, None)).count("    applied at step 2,900\n") == 1


def test_a_finding_says_whether_its_flag_pauses_the_run(runs: Path) -> None:
    history = canned(runs)
    assert not findings(history)[0].pauses
    history.recipe["flags"] = {"overfitting": {"then": "pause"}}
    assert findings(history)[0].pauses
    history.fold(ev.Edited(step=2940, path="flags.overfitting.then", old="pause", new="note", live=True))
    assert not findings(history)[0].pauses


def test_what_was_done_stands_beside_its_finding_and_alone_once_that_is_forgotten(runs: Path) -> None:
    history = canned(runs)
    history.fold(ev.Remedied(step=2900, id="overfitting", label="decay", edits=(("optimizer.weight_decay", "0.1"),)))
    history.fold(ev.Remedied(step=800, id="lr_too_high", label="lower the rate", how="rollback", by="auto"))
    first, *_, last = findings(history)
    assert first.done == ("remedied at step 2,900: decay, live",)
    assert (last.id, last.counts) == ("lr_too_high", False)
    assert last.done == ("remedied at step 800: lower the rate, back at the healthy checkpoint of that step, by --auto-remedy",)


def test_a_remedy_is_one_mark_not_two(runs: Path) -> None:
    history = canned(runs)
    history.fold(ev.Edited(step=2900, path="optimizer.lr", old="0.05", new="0.005", live=True))
    history.fold(ev.Remedied(step=2900, id="overfitting", label="lower it", edits=(("optimizer.lr", "0.005"),)))
    assert [mark.label for mark in marks(history)] == ["optimizer.lr = 0.05", "remedy: lower it", "overfitting"]


@pytest.mark.parametrize(
    ("since", "path", "how", "way"),
    [
        ("now", "optimizer.lr", {}, Way.LIVE),
        ("before", "optimizer.lr", {"refuge": True}, Way.ROLLBACK),
        ("before", "optimizer.lr", {}, Way.FORK),
        ("start", "optimizer.lr", {}, Way.FORK),
        ("now", "model.norm", {}, Way.FORK),
        ("before", "model.norm", {"refuge": True}, Way.FORK),
        ("now", "optimizer.lr", {"live": False}, Way.DRAFT),
        ("before", "optimizer.lr", {"watched": True}, Way.LIVE),
        ("now", "model.norm", {"watched": True}, Way.ADVICE),
        ("now", "optimizer.lr", {"watched": True, "live": False}, Way.ADVICE),
    ],
)
def test_the_way_of_a_remedy(since: str, path: str, how: dict[str, bool], way: Way) -> None:
    value = {"optimizer.lr": "0.01", "model.norm": "none"}[path]
    remedy = ev.Remedy(label="x", edits=((path, value),), since=since)
    assert way_of(remedy, None if "watched" in how else loads(ui_canned.RECIPE), **{"live": True, **how}) is way


def test_a_remedy_goes_back_to_before_its_finding(runs: Path) -> None:
    history = canned(runs)
    assert findings(history)[0].refuge == "step 1,680 (epoch 4)"
    history.fold(ev.Checkpointed(step=2940, path="checkpoints/healthy.pt", reason="healthy"))
    assert findings(history)[0].refuge == "step 1,680 (epoch 4)"
    history.fold(ev.Checkpointed(step=2950, path="checkpoints/healthy.pt", reason="healthy"))
    assert findings(history)[0].refuge == ""  # only two are kept


def test_a_pause_by_a_flag_gives_its_reason(runs: Path) -> None:
    history = canned(runs)
    history.fold(ev.Noted(step=2940, text="paused by flags.overfitting.then: it rose"))
    assert header("x", "1", "paused", history).reason == "paused by flags.overfitting.then: it rose · space goes on"
    history.notes = [replace(history.notes[-1], step=2000)]
    assert header("x", "1", "paused", history).reason == ""


def test_a_remedy_without_edits_or_recipe() -> None:
    assert way_of(ev.Remedy(label="x", verb="stop"), None, live=True) is Way.COMMAND
    lower = ev.Remedy(label="x", edits=(("optimizer.lr", "0.01"),))
    assert way_of(lower, None, live=True) is Way.UNKNOWN
    nonsense = ev.Remedy(label="x", edits=(("tricks.no_such", "on"),))
    assert way_of(nonsense, loads(ui_canned.RECIPE), live=True) is Way.FORK
