"""The judge: the same findings however the rows arrive, on resume, and in a replay."""

import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from flags_canned import cases, history

from cockpit import judge as judge_module
from cockpit.cards import card, knob
from cockpit.catalog import flags
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.judge import BLOCK, Finding, Judge, next_look, replay
from cockpit.runs.directory import create
from cockpit.runs.events import Cleared, Ended, Event, Flagged, Resumed, encode
from cockpit.runs.history import History, read_history
from cockpit.runs.log import LineWriter
from cockpit.runs.tables import LAYERS, STEPS, TableWriter

LIVELY = [case for case in cases() if case["flags"] == "all" or "cleared" in case]
EVERY = [card.cls() for card in flags().values()]


def live(
    whole: History, every: list[Flag], chunks: random.Random, *, until: int | None = None
) -> tuple[History, list[Finding]]:
    """Feed a recorded history to a judge as an engine would: rows in chunks, evaluations between two steps."""
    seen = History(started=whole.started, measured=whole.measured, recipe=whole.recipe, edits=whole.edits)
    judge = Judge(every, seen)
    found = fold(seen, judge.start())
    waiting = list(whole.evaluations)
    step, last = 0, until or whole.step
    while step < last:
        stop = min(last, waiting[0].step if waiting else last, step + chunks.randint(1, 70))
        step = stop
        seen.steps = whole.steps[:step]
        is_due = bool(waiting) and waiting[0].step == step
        added = (whole.layers["step"] == step) & ~np.isnan(whole.layers["dead"]) if is_due else False
        seen.layers = whole.layers[(whole.layers["step"] <= step) & ~np.asarray(added)]
        if not is_due or chunks.random() < 0.5:
            found += fold(seen, judge.rows())
        if is_due:
            seen.layers = whole.layers[whole.layers["step"] <= step]
            seen.fold(waiting.pop(0))
            found += fold(seen, judge.evaluation())
    if until is None:
        found += fold(seen, judge.final())
    return seen, found


def fold(seen: History, found: list[Finding]) -> list[Finding]:
    for finding in found:
        seen.fold(finding)
    return found


@pytest.mark.parametrize("case", LIVELY, ids=lambda case: case["name"])
def test_chunking_changes_nothing_and_replay_equals_live(case: dict[str, Any]) -> None:
    whole = history(case)
    expected = replay(whole, EVERY)
    for seed in range(4):
        _, found = live(whole, EVERY, random.Random(seed))
        assert found == expected


def test_the_lively_cases_do_rise_and_clear() -> None:
    kinds = {(type(finding), finding.id) for case in LIVELY for finding in replay(history(case), EVERY)}
    assert len({name for kind, name in kinds if kind is Flagged}) >= 7
    assert len([name for kind, name in kinds if kind is Cleared]) >= 5


@pytest.mark.parametrize("case", LIVELY, ids=lambda case: case["name"])
@pytest.mark.parametrize("share", [0.35, 0.7])
@pytest.mark.parametrize("recent", [judge_module.RECENT, 12])
def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(
    case: dict[str, Any], share: float, recent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_module, "RECENT", recent)
    whole = history(case)
    checkpoint = int(whole.step * share)
    expected = [finding for finding in replay(whole, EVERY) if finding.step > checkpoint]
    # It ran past the checkpoint, was killed, and its history was rewound.
    seen, _ = live(whole, EVERY, random.Random(1), until=min(whole.step, checkpoint + 55))
    seen.fold(Resumed(step=checkpoint, checkpoint="last"))
    seen.steps = whole.steps[:checkpoint]
    seen.layers = whole.layers[whole.layers["step"] <= checkpoint]
    judge = Judge(EVERY, seen)
    judge.catch_up()
    seen.steps, seen.layers = whole.steps, whole.layers
    seen.evaluations = list(whole.evaluations)
    assert judge.rows() + judge.final() == expected


def test_a_run_directory_replays_to_its_own_findings(tmp_path: Path) -> None:
    whole = history(next(case for case in LIVELY if case["file"] == "overfitting"))
    _, found = live(whole, EVERY, random.Random(0))
    run = create(tmp_path, "replay", "", {})
    for name, dtype, rows in (("steps", STEPS, whole.steps), ("layers", LAYERS, whole.layers)):
        writer = TableWriter(run.table(name), dtype)
        writer.append(rows)
        writer.close()
    lines = LineWriter(run.events)
    recorded: list[Event] = [*([whole.started] if whole.started else []), *([whole.measured] if whole.measured else [])]
    for event in [*recorded, *whole.evaluations, *found, Ended(state="finished")]:
        lines.append(encode(event))
    lines.close()
    back = read_history(run)
    assert found and replay(back, EVERY) == found == back.findings


@card("scripted")
class Scripted(Flag):
    """Sees what its script says, look by look."""

    moment: ClassVar[Moment] = "rows"
    needed: ClassVar[int] = 2
    of_last: ClassVar[int] = 3
    quiet: ClassVar[int] = 3

    script: str = knob("", help="one letter a look: . nothing, i w c severities, C conclusive")

    def look(self, history: History) -> Sign | None:
        assert history.step % BLOCK == 0 and history.step == len(history.steps)
        seen = self.script[history.step // BLOCK - 1]
        names = {"i": "info", "w": "warning", "c": "critical", "C": "critical"}
        return Sign(names[seen], f"look {history.step // BLOCK}", "", conclusive=seen == "C") if seen in names else None  # type: ignore[arg-type]


@card("consequence")
class Consequence(Scripted):
    """Explained by the scripted flag."""

    causes: ClassVar[tuple[str, ...]] = ("scripted",)


def run(*every: Flag) -> str:
    """What the flags made of a run, as short words: rise to w at look 3 = w3, clearing at look 9 = -9."""
    looks = max(len(flag.script) for flag in every)  # type: ignore[attr-defined]
    steps = np.zeros(looks * BLOCK, STEPS)
    steps["step"] = np.arange(1, len(steps) + 1)
    found = replay(History(steps=steps), every)
    return " ".join(
        (finding.severity[0] if isinstance(finding, Flagged) else "-") + str(finding.step // BLOCK) for finding in found
    )


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("........", ""),
        (".w......", ""),
        (".w..w...", ""),
        (".w.w....", "w4 -7"),
        ("ww.w..w...", "w2 -10"),
        ("wwcc....", "w2 c4 -7"),
        ("ccww....", "c2 -5"),
        ("ccwwwwww", "c2 -5 w6"),
        ("cw......", "w2 -5"),
        ("iw......", "i2 -5"),
        ("i.w.ww...", "i3 w5 -9"),
        ("C.......", "c1 -4"),
        ("wwC.....", "w2 c3 -6"),
    ],
)
def test_hysteresis(script: str, expected: str) -> None:
    assert run(Scripted(script=script)) == expected


@pytest.mark.parametrize(("script", "since"), [("..w.w", 3), ("w...ww", 5), ("ww", 1), ("..C", 3), (".iww", 2), ("wwcc", 1)])
def test_a_finding_knows_since_when(script: str, since: int) -> None:
    steps = np.zeros(len(script) * BLOCK, STEPS)
    steps["step"] = np.arange(1, len(steps) + 1)
    (*_, last) = replay(History(steps=steps), [Scripted(script=script)])
    assert isinstance(last, Flagged) and last.since == since * BLOCK


def test_a_cause_that_holds_keeps_its_consequences_silent() -> None:
    # One order or the other: causes look first. An info explains nothing; what was up before the cause stays up.
    assert run(Consequence(script="wwwwwwww"), Scripted(script="ww......")) == "w2 -5 w6"
    assert run(Consequence(script="wwwwwwww"), Scripted(script="ii......")) == "i2 w2 -5"
    assert run(Consequence(script="ww......"), Scripted(script="..ww....")) == "w2 w4 -7 -8"


def test_flags_that_explain_each_other_are_refused() -> None:
    @card("scripted")
    class Circular(Scripted):
        """Explained by its own consequence."""

        causes: ClassVar[tuple[str, ...]] = ("consequence",)

    with pytest.raises(ValueError, match="explain each other in a circle: consequence, scripted"):
        Judge([Circular(), Consequence()], History())


def test_looks_grow_rarer_and_stay_on_the_lattice() -> None:
    steps = [0]
    while steps[-1] < 5000:
        steps.append(next_look(steps[-1]))
    gaps = np.diff(steps)
    assert steps[:21] == list(range(0, 401, 20)) and set(gaps[:40]) == {20} and gaps.max() == gaps[-1] == 100
    assert (np.diff(gaps) >= 0).all() and all(step % BLOCK == 0 for step in steps)


def test_a_damaged_step_does_not_keep_the_judge_busy_for_ever() -> None:
    whole = history(next(case for case in LIVELY if case["file"] == "overfitting"))
    expected = replay(whole, EVERY)
    whole.steps = whole.steps.copy()
    whole.steps["step"][-1] = 2**60
    found = replay(whole, EVERY)
    assert [finding.id for finding in found] == [finding.id for finding in expected]
