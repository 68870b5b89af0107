"""A closer look from the screen: what is asked, what is shown, and what becomes of a question nobody waits for."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ui_canned
from conftest import TINY
from textual.pilot import Pilot
from textual.widgets import OptionList
from ui_driver import WIDE, highlight, on_screen, opened, text, until

from cockpit.catalog import family
from cockpit.recipe import load
from cockpit.recipe import loads as load_text
from cockpit.runs import events as ev
from cockpit.ui import asking
from cockpit.ui.asking import QuestionError, ask
from cockpit.ui.helm import Helm
from cockpit.ui.model.card_curve import drawing
from cockpit.ui.panes.sights import finding, thumbnails
from cockpit.ui.screens.cockpit import CockpitScreen
from cockpit.ui.screens.inspection import OF_RECIPE, OF_RUN, Inspection
from cockpit.ui.screens.reading import Reading

FOUND = {
    "name": "lr_range", "ok": False, "headline": "falls fastest at [bold]0.2[/]", "lines": ["a line\x1b[2J of it"],
    "numbers": {"steepest": 0.2}, "curve": [[1e-6 * 10 ** (i / 10), 2.3 - i / 100] for i in range(71)],
    "axes": ["learning rate", "smoothed loss"], "histograms": {"stage1.block2.convolution": [-0.5, 0.5, [0, 1, 5, 1] * 10]},
}  # fmt: skip
IMAGE = {"pixels": "AEB/gICA//8=", "shape": [2, 4, 1], "target": [["seven", 0.61], ["two", 0.39]]}
Asked = list[tuple[str, tuple[str, ...], bool]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What was asked, answered at once from cans."""
    heard: Asked = []

    def answer(helm: Helm, command: str, *options: str, allow_code: bool, given_up: Any) -> Any:
        heard.append((command, options, allow_code))
        return [IMAGE] * 12 if command == "preview" else {"ok": False, "checks": [FOUND]}

    monkeypatch.setattr("cockpit.ui.screens.inspection.ask", answer)
    return heard


def answer_of(pilot: Pilot[Any]) -> str:
    return text(pilot.app, ".answer") if isinstance(pilot.app.screen, Inspection) else ""  # type: ignore[arg-type]


def looks(pilot: Pilot[Any]) -> list[str]:
    return [str(option.id) for option in pilot.app.screen.query_one(OptionList).options]


@pytest.mark.usefixtures("canned_cards")
async def test_of_a_draft_the_batch_and_every_check_can_be_asked(runs: Path, recipe: str, asked: Asked) -> None:
    app = opened(runs, recipe=recipe, allow_code=True)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("k")
        assert isinstance(app.screen, Inspection)
        assert looks(pilot) == ["batch", *(name for name, _ in OF_RECIPE)] and not asked
        for name, _ in OF_RECIPE:
            await pilot.press("down", "enter")
            await until(pilot, lambda name=name: asked[-1:] == [("check", ("--with", name), True)])
        await until(pilot, lambda: "▲ lr_range" in answer_of(pilot))
        shown = answer_of(pilot)
        assert "falls fastest at [bold]0.2[/]" in shown and "\x1b" not in shown
        assert "1e-06 to 1e+01 in equal ratios" in shown and "stage1.block2.convol " in shown and "█" in shown
        await pilot.press("escape")
        assert isinstance(app.screen, CockpitScreen)


@pytest.mark.usefixtures("canned_cards")
async def test_b_shows_the_batch_at_once(runs: Path, recipe: str, asked: Asked) -> None:
    app = opened(runs, recipe=recipe)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("b")
        await until(pilot, lambda: "61% seven + 39% two" in answer_of(pilot))
        assert asked == [("preview", ("--count", "12"), False)]
        assert answer_of(pilot).count("61% seven") == 12 and "▀" in answer_of(pilot)
        listed = app.screen.query_one(OptionList)
        assert listed.highlighted == listed.get_option_index("batch")


@pytest.mark.usefixtures("canned_cards")
async def test_a_run_is_examined_and_a_starting_one_is_not(runs: Path, asked: Asked) -> None:
    app = opened(runs, run=ui_canned.write_run(runs))
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("k")
        assert looks(pilot) == ["batch", *(name for name, _ in OF_RUN)]
        await pilot.press("end", "enter")
        await until(pilot, lambda: asked == [("examine", ("--with", OF_RUN[-1][0]), False)])
    asleep = opened(runs, run=ui_canned.write_run(runs / "new", epochs=0, state="starting"))
    async with on_screen(asleep, WIDE) as pilot:
        await pilot.press("k")
        assert isinstance(asleep.screen, CockpitScreen)


@pytest.mark.usefixtures("canned_cards")
async def test_what_cannot_be_answered_is_told_as_it_is(runs: Path, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise QuestionError("data.path: there is no folder [red]x[/red]")

    monkeypatch.setattr("cockpit.ui.screens.inspection.ask", refuse)
    app = opened(runs, recipe=recipe)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("b")
        await until(pilot, lambda: answer_of(pilot) == "data.path: there is no folder [red]x[/red]")


class Slow:
    """Answers once it is let, and notes which questions were given up."""

    def __init__(self) -> None:
        self.let, self.begun, self.given_up = threading.Event(), [], []

    def __call__(self, helm: Helm, command: str, *options: str, allow_code: bool, given_up: Callable[[], bool]) -> Any:
        name = options[-1]
        self.begun.append(name)
        while not self.let.is_set() or given_up():
            if given_up():
                self.given_up.append(name)
                raise QuestionError("nobody waits")
            time.sleep(0.01)
        return {"checks": [{**FOUND, "name": name}]}


@pytest.mark.usefixtures("canned_cards")
async def test_another_look_gives_the_first_one_up(runs: Path, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr("cockpit.ui.screens.inspection.ask", slow)
    app = opened(runs, recipe=recipe)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("k", "down", "enter")
        await until(pilot, lambda: slow.begun == ["weights"])
        assert "weights: looking" in answer_of(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: slow.given_up == ["weights"] and len(slow.begun) == 2)
        slow.let.set()
        await until(pilot, lambda: "▲ overfit_one_batch" in answer_of(pilot))
        assert "nobody waits" not in answer_of(pilot)


@pytest.mark.parametrize("way", ["escape", "q"])
@pytest.mark.usefixtures("canned_cards")
async def test_who_closes_it_waits_for_nothing(way: str, runs: Path, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr("cockpit.ui.screens.inspection.ask", slow)
    app = opened(runs, recipe=recipe)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("k", "down", "enter")
        await until(pilot, lambda: bool(slow.begun))
        await pilot.press(way)
        assert isinstance(app.screen, CockpitScreen)
        await until(pilot, lambda: slow.given_up == ["weights"])


@pytest.mark.usefixtures("canned_cards")
async def test_leaving_the_application_gives_up_too(runs: Path, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr("cockpit.ui.screens.inspection.ask", slow)
    app = opened(runs, recipe=recipe)
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("k", "down", "enter")
        await until(pilot, lambda: bool(slow.begun))
        app.exit()
    for _ in range(200):
        await asyncio.sleep(0 if slow.given_up else 0.01)
    assert slow.given_up == ["weights"]


@pytest.mark.parametrize("size", [(40, 16), (80, 24), (200, 60)])
@pytest.mark.usefixtures("canned_cards")
async def test_it_fits_every_terminal(size: tuple[int, int], runs: Path, recipe: str, asked: Asked) -> None:
    app = opened(runs, recipe=recipe)
    async with on_screen(app, size) as pilot:
        await pilot.press("b")
        await until(pilot, lambda: "61% seven" in answer_of(pilot))
        box = app.screen.query_one(".answer")
        assert max(map(len, answer_of(pilot).splitlines())) <= box.size.width <= size[0]
        await pilot.press("down", "enter")
        await until(pilot, lambda: "lr_range" in answer_of(pilot))
        drawn = [line for line in answer_of(pilot).splitlines()[1:] if not line.startswith("──")]  # a legend may wrap
        assert len(drawn) > 8 and max(map(len, drawn)) <= box.size.width


async def test_a_real_question_about_a_draft(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    app = opened(runs, recipe=str(path), edits=["tricks.random_crop={pad: 1}"])
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("b")
        until_then = time.monotonic() + 180
        while "looking" in answer_of(pilot) and time.monotonic() < until_then:
            await pilot.pause(0.2)
        shown = answer_of(pilot)
        assert shown.count("▀") == 12 * 8 * 4 and sum(char.isdigit() for char in shown) == 12, shown


def helm_of(tmp_path: Path) -> Helm:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return Helm(recipe=load(str(path)), name="tiny")


def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Stand in for the interpreter that runs cockpit."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setattr(asking.sys, "executable", str(path))


def test_what_is_asked_of_a_draft_and_of_a_run(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, monkeypatch, 'cat "$4" > "$0.draft" 2>/dev/null; printf \'["%s"]\' "$*"')
    (words,) = ask(helm_of(tmp_path), "check", "--with", "weights", allow_code=True)
    said = words.split()
    assert said[:3] == ["-m", "cockpit", "check"] and said[4:] == ["--with", "weights", "--allow-code", "--json"]
    assert load_text((tmp_path / "python.draft").read_text()) == load_text(TINY)
    assert not Path(said[3]).exists(), "the draft is taken away again"
    helm = Helm(run=ui_canned.write_run(runs, more=(ev.Ended(step=1, state="finished"),)))
    assert helm.run
    (words,) = ask(helm, "examine", allow_code=True)
    assert words.split() == ["-m", "cockpit", "examine", str(helm.run.path), "--json"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo warning >&2; echo 'no such run' >&2; echo >&2; exit 2", "no such run"),
        ("exit 3", "cockpit check ended with status 3"),
        ("echo half '{'; printf 'b\\377d\\n' >&2", "b\N{REPLACEMENT CHARACTER}d"),
    ],
)
def test_an_answer_that_is_none_is_an_error(body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, monkeypatch, body)
    with pytest.raises(QuestionError) as caught:
        ask(helm_of(tmp_path), "check")
    assert str(caught.value) == words


def test_a_check_that_is_not_well_answers_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, monkeypatch, "echo '{\"ok\": false}'; exit 1")
    assert ask(helm_of(tmp_path), "check") == {"ok": False}


def test_a_question_given_up_ends_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, monkeypatch, "exec sleep 60")
    begun = time.monotonic()
    with pytest.raises(QuestionError):
        ask(helm_of(tmp_path), "check", given_up=lambda: True)
    assert time.monotonic() - begun < 10


def test_an_interpreter_that_is_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking.sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(QuestionError, match="cannot be asked"):
        ask(helm_of(tmp_path), "check")


def test_thumbnails_stand_side_by_side_and_captions_under_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {**IMAGE, "target": [["x\x1b[2J", 1.0]]}
    lines = str(thumbnails([IMAGE, others, IMAGE], 44, colours=True)).splitlines()
    assert lines[1].index("x") == lines[0].index("▀", 10) == 21 and "\x1b" not in lines[1]
    assert len(lines) == 2 + 1 + 2, "the third has no place beside them"
    assert str(thumbnails([IMAGE], 44, colours=False)).splitlines()[0].rstrip() == ":-##"
    assert all(len(line) <= 20 for line in str(thumbnails([IMAGE], 20, colours=True)).splitlines())


def test_a_finding_of_a_single_point_or_nothing_is_drawn() -> None:
    bare = {**FOUND, "ok": True, "curve": [[1.0, 0.5]], "axes": ["step", "loss"], "histograms": {}, "lines": []}
    for curve in ([], [[1.0, 0.5]], [[1.0, 2.0], [2.0, 1.0]]):
        shown = str(finding({**bare, "curve": curve}, 60))
        assert shown.startswith("✓ lr_range") and ("loss over step" in shown) == bool(curve)
    rate = str(finding({**FOUND, "curve": FOUND["curve"][:1]}, 60))  # type: ignore[index]
    assert "1e-06 to 1e-06" in rate


@pytest.mark.parametrize("kind", ["activation", "schedule"])
def test_every_card_with_a_curve_draws_it(kind: str) -> None:
    recipe = load_text(TINY)
    for name, card in family(kind).items():
        drawn = drawing(card.cls(), recipe, 7, 60, 9).splitlines()
        assert len(drawn) >= 6 and all(len(line) <= 60 for line in drawn[1:]), name
        assert "ends at" in drawn[0], name
    assert drawing(recipe.optimizer, recipe, 7) == ""


def test_curves_end_where_their_functions_do() -> None:
    recipe = load_text(TINY, edits=["train.epochs=10", "optimizer.lr=0.5"])
    schedules = family("schedule")
    assert drawing(schedules["constant"].cls(), recipe, None).splitlines()[0].endswith("0.5000")
    last = float(drawing(schedules["cosine"].cls(), recipe, 100, 60).splitlines()[0].split()[-1])
    assert 0 <= last < 0.001
    assert drawing(family("activation")["relu"].cls(), recipe, None).splitlines()[0].split()[-1] == "4.000"
    warm = drawing(schedules["constant"].cls(warmup_epochs=5.0), recipe, 10, 60, 12)
    assert warm != drawing(schedules["constant"].cls(), recipe, 10, 60, 12)


async def test_the_card_of_a_schedule_shows_its_curve(runs: Path, tmp_path: Path) -> None:
    helm_of(tmp_path)
    app = opened(runs, recipe=str(tmp_path / "tiny.yaml"))
    async with on_screen(app, WIDE) as pilot:
        await pilot.press("t")
        await highlight(pilot, "schedule")
        await pilot.press("i")
        assert isinstance(app.screen, Reading)
        assert "learning rate by epoch" in str(app.screen.query("Static").last().content)  # type: ignore[attr-defined]
