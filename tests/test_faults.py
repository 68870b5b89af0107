"""A sample of benchmarks/faults.py: a few of each fault; the campaign itself is run by hand."""

import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

pytest.importorskip("pty", reason="hosts are forked and killed as Unix has it")

from faulting import damage, disk, hangups, kills, mail, recipes, report
from faulting.alike import differences
from faulting.hosts import fork, warm

from cockpit.engine import checkpoints
from cockpit.engine.logbook import Logbook
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.history import read_history
from cockpit.runs.tables import LAYERS, STEPS, blank, orderly


@pytest.fixture(scope="module")
def warmed() -> None:
    warm()


@pytest.mark.usefixtures("warmed")
class TestSamples:
    """Each part of the campaign, with few of each."""

    def test_kills(self, runs: Path) -> None:
        runs.mkdir()
        found = kills.kills(4, random.Random(1), runs, ("plateau_ill",))
        assert found.failures == [] and found.tried >= 4

    def test_damage(self, runs: Path) -> None:
        runs.mkdir()
        found = damage.damage(19, random.Random(2), runs)
        assert found.failures == [] and found.tried == 19

    def test_recipes(self, runs: Path) -> None:
        runs.mkdir()
        found = recipes.recipes(60, random.Random(3), runs, checked=30)
        assert found.failures == [] and found.counts["refused"] and found.counts["read"]

    def test_mail(self, runs: Path) -> None:
        runs.mkdir()
        found = mail.mail(100, random.Random(4), runs)
        assert (
            found.failures == [] and found.counts["answered: refused"] and found.counts["refused by the run that is compared"]
        )

    def test_hangups(self, runs: Path) -> None:
        runs.mkdir()
        found = hangups.hangups(2, random.Random(6), runs)
        assert found.failures == [] and found.counts["attached again"] == 1

    def test_disks(self, runs: Path) -> None:
        runs.mkdir()
        try:
            with disk.disk(runs / "try", "tmpfs"):
                pass
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting is not allowed here")
        ways = disk.WAYS
        try:
            disk.WAYS = tuple(way for way in ways if way.__name__ in ("_room_returns", "_start_when_full", "_vanishes"))
            found = disk.full(3, random.Random(5), runs)
        finally:
            disk.WAYS = ways
        assert found.failures == []


def test_the_campaign_sees_one_wrong_bit(runs: Path, fly) -> None:
    one, other = fly(), fly()
    assert differences(one.run, other.run) == []
    table = other.run.table("steps")
    data = bytearray(table.read_bytes())
    data[-30] ^= 1
    table.write_bytes(data)
    weights = other.run.checkpoint("last")
    os.replace(other.run.checkpoint("best"), weights)
    said = "; ".join(differences(one.run, other.run))
    assert "steps." in said and "checkpoint last" in said and "only one has the checkpoints best" in said


def test_what_was_measured_before_a_kill_is_not_there_twice(runs: Path) -> None:
    def start(*, resume: bool) -> Flight:
        return Flight(run, resume=resume, say=lambda text: None)

    run = new_run(loads(TINY), runs, "test", allow_code=False, command=[])
    start(resume=False).fly()
    whole = (read_history(run).layers["step"] == 0).sum()
    log = Logbook(run)
    log.rewind(0, "")
    log.close()
    for path in run.checkpoint("last").parent.iterdir():
        path.unlink()
    start(resume=True).fly()
    history = read_history(run)
    assert history.layers.dtype == LAYERS and (history.layers["step"] == 0).sum() == whole > 0
    assert history.steps["step"].tolist() == list(range(1, 13))


def test_best_weights_that_a_full_disk_refused_are_written_once_there_is_room(runs: Path, fly, monkeypatch) -> None:
    whole, save, refusals = fly(TINY, "train.epochs=1"), checkpoints.save, [2]

    def full(path: Path, *rest: object) -> None:
        if path.stem in ("best", "last") and refusals[0]:
            refusals[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, *rest)

    monkeypatch.setattr(checkpoints, "save", full)
    ours = fly(TINY, "train.epochs=1")
    assert differences(ours.run, whole.run) == [] and not refusals[0]
    history = read_history(ours.run)
    assert "checkpoint best was not written: No space left on device" in [note.text for note in history.notes]


@pytest.mark.parametrize("wrong", [0, 5, 8, 9, 12, 27, 2**62])
def test_a_wrong_step_costs_its_own_row(wrong: int) -> None:
    """By the numbers alone: a step that is as good as the one before it, or after it, is nobody's to doubt."""
    rows = blank(20, STEPS)
    rows["step"] = np.arange(1, 21)
    rows["loss"] = np.arange(1, 21)
    rows["step"][10] = wrong
    kept = orderly(rows)["loss"].tolist()
    assert [number for number in range(1, 21) if number not in kept] in ([11], [])


def test_a_page_tells_what_was_tried_and_what_did_not_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    outcome = report.Outcome("kills", tried=3)
    outcome.count("killed in training", 3)
    outcome.fail("one differs")
    report.keep(report.stamp(outcome, 60.0))
    page = (tmp_path / "faults.md").read_text()
    assert "| kills | 3 | 1 |" in page and "| - killed in training | 3 | |" in page and "- kills: one differs" in page


def test_a_forked_host_is_a_host(runs: Path) -> None:
    run = new_run(loads(TINY), runs, "test", allow_code=False, command=[])
    host = fork(run, orders=((3, "optimizer.lr", "0.01"),))
    assert not host.watch(60.0) and host.code == 0
    history = read_history(run)
    assert history.ended and [(edit.step, edit.path) for edit in history.edits] == [(3, "optimizer.lr")]
    assert {phase for _, phase in host.trace} == set("stecx")
