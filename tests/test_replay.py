"""Recorded runs judged anew: the gallery's findings, the same whichever way a history is read, and `cockpit replay`."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from gallery.make import FOLDER, expected, flags_of, judged, unpack, worst

from cockpit.judge import Finding, Judge, replay
from cockpit.runs.directory import RunDir
from cockpit.runs.events import encode
from cockpit.runs.history import History, RunReader
from cockpit.runs.tables import STEPS, read_table, write_table

GALLERY = sorted(FOLDER.glob("*.npz"))
SERIOUS = ("warning", "critical")
EXPECTED = expected()


def named(path: Path) -> str:
    return path.stem


def test_the_gallery_is_whole_and_small() -> None:
    assert set(EXPECTED) == {path.stem for path in GALLERY}
    assert all(path.stat().st_size <= 60_000 for path in GALLERY)
    healthy = [name for name, entry in EXPECTED.items() if not entry["must"]]
    assert len(healthy) >= 5 and len(GALLERY) - len(healthy) >= 7


@pytest.mark.parametrize("path", GALLERY, ids=named)
def test_what_stands_and_what_must_not(path: Path, tmp_path: Path) -> None:
    entry = EXPECTED[path.stem]
    _, history, found = judged(path, tmp_path)
    said = worst(found)
    serious = {name for name, severity in said.items() if severity in SERIOUS}
    if entry["must"]:
        assert serious & set(entry["must"]), said
    else:
        assert not serious, [finding for finding in found if finding.id in serious]
    assert said == entry["found"]
    assert history.started and b"/tmp" not in b"".join(map(str.encode, map(repr, vars(history).values())))


@pytest.mark.parametrize("path", GALLERY, ids=named)
def test_attached_late_line_by_line_or_live_the_findings_are_the_same(path: Path, tmp_path: Path) -> None:
    run, whole, found = judged(path, tmp_path / "whole")
    slow = _read_slowly(unpack(path, tmp_path / "slow"))
    slow.recipe = whole.recipe
    assert repr(replay(slow, flags_of(run))) == repr(found)
    for name in ("evaluations", "active", "findings", "edits", "started", "measured", "ended"):
        assert repr(getattr(slow, name)) == repr(getattr(whole, name))
    for seed in range(2):
        assert repr(_live(whole, run, random.Random(seed))) == repr(found)


def _read_slowly(run: RunDir) -> History:
    """A reader that was there from the first line on, and looked at every half of a line."""
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"")
    reader = RunReader(run)
    with open(run.events, "ab", buffering=0) as file:
        for line in lines:
            for part in (line[: len(line) // 2], line[len(line) // 2 :]):
                file.write(part)
                reader.poll()
    return reader.history


def _live(whole: History, run: RunDir, chunks: random.Random) -> list[Finding]:
    """What a host finds whose rows come in pieces, its evaluations between two of them."""
    seen = History(started=whole.started, measured=whole.measured, recipe=whole.recipe, edits=whole.edits)
    judge = Judge(flags_of(run), seen)
    steps, layers = np.asarray(whole.steps), np.asarray(whole.layers)
    first = layers["step"] == 0
    seen.layers = layers[first]
    found = _folded(seen, judge.start()) if whole.measured else []
    units = np.isnan(layers["weight_norm"]) & np.isnan(layers["grad_norm"])  # what evaluations measure
    waiting = list(whole.evaluations)
    while len(seen.steps) < len(steps) or waiting:
        due = waiting[0].step if waiting else whole.step
        step = min(due, seen.step + chunks.randint(1, 70))
        seen.steps = steps[steps["step"] <= step]
        seen.layers = layers[(layers["step"] <= step) & ~(units & (layers["step"] == step) & (step > 0))]
        found += _folded(seen, judge.rows()) if step < due or chunks.random() < 0.5 else []
        if waiting and step == due:
            seen.layers = layers[layers["step"] <= step]
            seen.fold(waiting.pop(0))
            found += _folded(seen, judge.evaluation())
    return found + (_folded(seen, judge.final()) if whole.ended else [])


def _folded(seen: History, found: list[Finding]) -> list[Finding]:
    for finding in found:
        seen.fold(finding)
    return found


def cockpit(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "cockpit", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def ill(tmp_path: Path) -> RunDir:
    """A run whose record holds what today's flags find."""
    run, history, found = judged(FOLDER / "sick_dead_relu.npz", tmp_path)
    lines = run.events.read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["kind"] not in ("flagged", "cleared", "ended")]
    assert history.ended
    run.events.write_text("\n".join([*kept, *map(encode, found), encode(history.ended)]) + "\n")
    return run


def counts(run: RunDir, *more: str) -> tuple[int, int, int]:
    told = json.loads(cockpit("replay", str(run.path), *more, "--json").stdout)
    return told["same"], told["then"], told["now"]


def test_a_replay_finds_the_same_with_the_same_flags(ill: RunDir) -> None:
    same, then, now = counts(ill)
    assert same and (then, now) == (0, 0)
    done = cockpit("replay", str(ill.path))
    assert done.returncode == 0 and "  same       critical  dead_relu at step " in done.stdout
    assert f"{same} same, 0 only then, 0 only now" in done.stdout


def test_other_flags_find_other_things(ill: RunDir) -> None:
    same, _, _ = counts(ill)
    assert counts(ill, "--set", "flags.dead_relu=off")[1] >= 1
    told = cockpit("replay", str(ill.path), "--set", "flags.dead_relu=off").stdout
    assert "only then  critical  dead_relu" in told and "only now   critical  dead_relu" not in told
    lines = [line for line in ill.events.read_text().splitlines() if '"dead_relu"' not in line]
    ill.events.write_text("\n".join(lines) + "\n")
    assert "only now   critical  dead_relu" in cockpit("replay", str(ill.path)).stdout
    assert same > counts(ill)[0]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("flags.dead_rel.share=0.3", "did you mean 'dead_relu'?"),
        ("flags.dead_relu.shar=0.3", "did you mean 'share'?"),
        ("flags.dead_relu.share=many", "expected a number above 0 and below 1"),
        ("dead_relu.share=0.3", "did you mean flags.dead_relu.share?"),
        ("optimizer.lr=0.3", "only flags may change; such as --set flags.dead_relu.share=0.3"),
        ("nonsense", "expected path=value"),
    ],
)
def test_an_edit_that_cannot_be_names_the_nearest_right_thing(ill: RunDir, edit: str, words: str) -> None:
    done = cockpit("replay", str(ill.path), "--set", edit)
    assert done.returncode == 2 and words in done.stderr and not done.stdout


def test_an_unfinished_run_and_a_loop_of_ones_own_are_replayed(ill: RunDir) -> None:
    lines = ill.events.read_text().splitlines()
    ill.events.write_text("\n".join(lines[:-1]) + "\n")
    assert "steps so far" in cockpit("replay", str(ill.path)).stdout
    assert counts(ill)[1:] == (0, 0)
    ill.recipe.write_text(yaml.safe_dump({"watched": True, "flags": {"dead_relu": False}}))
    done = cockpit("replay", str(ill.path))
    assert (
        done.returncode == 0 and "no recipe that can be read" in done.stdout and "only then  critical  dead_relu" in done.stdout
    )
    ill.recipe.write_text("{")
    assert "same       critical  dead_relu" in cockpit("replay", str(ill.path)).stdout
    assert "did you mean 'dead_relu'?" in cockpit("replay", str(ill.path), "--set", "flags.dead_rel=on").stderr


def test_a_run_without_a_step_has_nothing_to_judge(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "2026-01-01_000000_empty_0000")
    run.path.mkdir()
    run.recipe.write_text("{data: digits, model: mlp}")
    done = cockpit("replay", str(run.path))
    assert done.returncode == 0 and "nothing found, then or now" in done.stdout


def test_replay_needs_no_torch(ill: RunDir) -> None:
    code = f"import sys; sys.argv = ['cockpit', 'replay', {str(ill.path)!r}]\nfrom cockpit.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules and 'textual' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_show_tells_what_the_probes_cost(ill: RunDir) -> None:
    assert "probes" not in cockpit("show", str(ill.path)).stdout  # the gallery does not keep it
    rows = read_table(ill.table("steps"), STEPS).copy()
    rows["time"], rows["probing"] = rows["step"] * 0.01, 0.0001
    write_table(ill.table("steps"), rows)
    assert "probes 1.0%" in cockpit("show", str(ill.path)).stdout
