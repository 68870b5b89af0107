"""The view logic of the screen, without a screen."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import recipe_catalog
import ui_canned

from cockpit import catalog
from cockpit.recipe import edit, loads
from cockpit.runs import events as ev
from cockpit.runs.facts import Outputs
from cockpit.runs.history import History, read_history
from cockpit.runs.summary import probing
from cockpit.runs.tables import LAYERS, blank
from cockpit.ui.format import epochs
from cockpit.ui.model import words
from cockpit.ui.model.curves import curves, marks
from cockpit.ui.model.data import data
from cockpit.ui.model.findings import orders
from cockpit.ui.model.launch import ago, run_row
from cockpit.ui.model.layers import answers, layers
from cockpit.ui.model.layout import shown_panes
from cockpit.ui.model.run import header, machine, summary
from cockpit.ui.model.tricks import TrickRow, rows
from cockpit.ui.model.ways import Way, way_of
from cockpit.ui.panes.header import header_content


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "catalog", lambda: recipe_catalog.CARDS)


def canned(root: Path, epochs: float = 7) -> History:
    return read_history(ui_canned.write_run(root, epochs=epochs))


@pytest.mark.parametrize(
    ("foreign", "safe"),
    [
        ("\x1b[31mred\x1b[0m\x07", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("one\ntwo\tthree", "one two three"),
        ("right\u202eleft", "rightleft"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_foreign_text_is_made_safe(foreign: str, safe: str) -> None:
    assert words.clean(foreign) == safe


def test_a_float_is_written_so_that_it_reads_back_equal() -> None:
    for item in (0.1, 1e-3, 5e-4, 1 / 3, 1e-12, 0.0):
        assert float(words.value(item)) == item


def test_header_of_a_training_run(runs: Path) -> None:
    shown = header("fashion\x1b[2J", "7f3a", "running", canned(runs))
    assert (shown.name, shown.epoch, shown.state.word) == ("fashion", "8/10", "training")
    assert shown.share == pytest.approx(0.7)
    assert shown.speed == "120 it/s"  # the canned clock makes 120 steps a second
    assert shown.eta == "ETA 00:10"  # 1260 steps left at that pace: 10.5 s


def test_header_is_silent_about_pace_while_paused(runs: Path) -> None:
    shown = header("x", "7f3a", "paused", canned(runs))
    assert (shown.speed, shown.eta) == ("", "")


def test_header_tells_why_a_run_was_lost_or_failed() -> None:
    assert "Killed" in header("x", "1", "lost", History(), ["importing", "Killed"]).reason
    failed = History(ended=ev.Ended(state="failed", reason="loss is NaN at step 12"))
    assert header("x", "1", "failed", failed, ["noise"]).reason == "loss is NaN at step 12"
    assert header("x", "1", "failed", History(), ["ImportError: no torch"]).reason == "ImportError: no torch"
    assert "importing torch" in header("x", "1", "starting", History()).reason


def test_data_of_a_run_counts_looks_and_tells_duplicates(runs: Path) -> None:
    history = canned(runs)
    sealed = data(None, history, 0, None)
    assert sealed.title == "fashion_mnist 28×28×1, 10 cls"
    assert [split.count for split in sealed.splits] == ["54,000", "6,000", "10,000"]
    assert sealed.splits[2].note == "sealed · 0 looks"
    assert sealed.notes == ("10 test images are in training",)
    assert data(None, history, 1, 0.913).splits[2].note == "opened · 1 look · 91.30 %"


def test_data_of_a_draft_says_what_the_recipe_asks_for() -> None:
    recipe = loads("data: {source: digits, val: 300, limit: 1000}")
    assert data(recipe, History(), 0, None).title == "digits, 1,000 images"
    assert "validation 300 of training" in data(recipe, History(), 0, None).notes


def test_the_cost_of_the_probes(runs: Path) -> None:
    history = canned(runs)
    assert probing(history.steps) == pytest.approx(0.007, rel=0.01)
    assert header("x", "1", "running", history).probes == "probes 0.7 %"
    unknown = history.steps.copy()
    unknown["probing"] = math.nan
    assert math.isnan(probing(unknown)) and math.isnan(probing(history.steps[:1]))


def test_a_loop_that_does_not_say_how_long_it_is(runs: Path) -> None:
    history = canned(runs)
    assert history.started
    history.started = replace(history.started, total_steps=0, epochs=0)
    shown = header("x", "1", "running", history)
    assert (shown.epoch, shown.eta) == ("8", "") and math.isnan(shown.share)
    assert "epoch 8" in header_content(shown, 80).plain
    assert (curves(history).x_max, curves(history).epoch_steps) == (0, 420)
    history.fold(ev.Ended(step=2940, state="finished"))
    assert "for 7 epochs" in dict(summary(ui_canned.write_run(runs / "other"), "finished", history, 0).lines)["time"]  # type: ignore[union-attr]


def test_a_remedy_says_what_it_will_do() -> None:
    remedy = ev.Remedy(label="both", edits=(("optimizer.lr", "0.01"),), verb="stop")
    assert orders(remedy, Way.DRAFT) == ("set optimizer.lr to 0.01",)
    assert orders(remedy, way_of(remedy, None, live=True)) == ("stop the run",)  # it takes no edits any more


def test_layers_show_their_last_measurements(runs: Path) -> None:
    shown = layers(canned(runs))
    assert [row.name for row in shown] == list(ui_canned.NAMES)
    assert [row.dead for row in shown] == ["2 %", "41 %", "0 %", "-"]
    assert [row.saturated for row in shown] == ["-", "-", "-", "71 %"]
    assert [row.sick for row in shown] == [(False, False), (True, False), (False, False), (False, True)]
    assert (shown[0].ratio, shown[0].std) == ("1e-3", "0.080")
    assert len(shown[0].grads) == 16


def test_machine_names_a_gpu_only_where_one_was_measured(runs: Path) -> None:
    history = canned(runs)
    assert machine(history) == ("cpu  61 %  mem 38 %  run 1.2GB", "probes 0.7 % of the training time")
    seen = history.machine.copy()
    seen["gpu"], seen["gpu_temperature"] = 93, 71
    history.machine = seen
    assert machine(history)[1] == "gpu 93 %  71 °C"


def test_curves_span_the_planned_run_with_marks_for_edits_and_warnings(runs: Path) -> None:
    history = canned(runs)
    shown = curves(history)
    assert (shown.x_max, shown.epoch_steps) == (4200, 420)
    assert [series.label for series in shown.loss] == ["train", "val", "best"]
    assert list(shown.loss[2].x) == [4 * 420]
    assert [(mark.kind, mark.x) for mark in marks(history)] == [("edit", 1260), ("flag", 2940)]


def test_accuracy_falls_back_to_the_clean_probe_where_batches_are_mixed(runs: Path) -> None:
    history = canned(runs)
    mixed = history.steps.copy()
    mixed["accuracy"] = math.nan
    history.steps = mixed
    assert [series.label for series in curves(history).accuracy] == ["clean", "val", "best"]


def by_label(shown: tuple[TrickRow, ...]) -> dict[str, TrickRow]:
    return {row.label: row for row in shown}


def test_trick_rows_say_choice_state_knobs_and_conflicts() -> None:
    recipe = loads(ui_canned.RECIPE)
    shown = by_label(rows(recipe, recipe, catalog.toggles()))
    assert (shown["optimizer"].chosen, shown["optimizer"].knobs[0]) == ("sgd", ("lr", "0.05"))
    assert (shown["activation"].path, shown["activation"].chosen) == ("model.activation", "relu")
    assert ("norm", "batch") not in shown["model"].knobs  # it has a row of its own
    assert shown["mixup"].on and not shown["cutmix"].on
    assert shown["cutmix"].conflicts == (("mixup", "a batch is mixed once"),)
    assert shown["mixup"].conflicts == ()


def test_trick_rows_tell_what_waits_for_the_next_run() -> None:
    now = loads(ui_canned.RECIPE)
    later = edit(edit(edit(now, "tricks.label_smoothing", "on"), "optimizer", "adam"), "train.epochs", "20")
    shown = by_label(rows(now, later, catalog.toggles()))
    assert (shown["label_smoothing"].waiting, shown["label_smoothing"].will_be_on) == ("on", True)
    assert (shown["optimizer"].waiting, shown["train"].waiting, shown["mixup"].waiting) == ("adam", "epochs 20", "")


def test_the_filter_looks_at_names_families_and_purpose() -> None:
    recipe = loads(ui_canned.RECIPE)
    shown = rows(recipe, recipe, catalog.toggles())
    assert {row.label for row in shown if row.matches("mixing")} == {"mixup", "cutmix"}
    assert {row.label for row in shown if row.matches("blend MIX")} == {"mixup"}


def test_summary_stands_only_after_the_end(runs: Path) -> None:
    run = ui_canned.write_run(runs)
    history = read_history(run)
    assert summary(run, "running", history, 0) is None
    history.fold(ev.Ended(step=2940, state="stopped", reason="asked", epoch=7))
    shown = summary(run, "stopped", history, 2)
    assert shown is not None
    lines = dict(shown.lines)
    assert lines["best"].startswith("epoch 4")
    assert lines["flags"] == "overfitting"
    assert lines["waiting"] == "2 edits for the next run"
    assert lines["weights"] == "checkpoints/best.pt"
    assert lines["folder"] == str(run.path)
    assert "u resume" in shown.keys


def test_a_run_in_the_list(runs: Path) -> None:
    row = run_row(ui_canned.write_run(runs), ui_canned.NOW)
    assert (row.name, row.state.word, row.progress, row.best, row.age) == (
        "fashion_cnn",
        "training",
        "epoch 7/10",
        "90.5 %",
        "5 min ago",
    )


@pytest.mark.parametrize(("seconds", "said"), [(5, "just now"), (125, "2 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")])
def test_ages(seconds: float, said: str) -> None:
    assert ago(seconds) == said


@pytest.mark.parametrize(
    ("size", "page", "plot", "shown"),
    [
        ((160, 48), "flags", "loss", "data tricks loss accuracy rates flags layers machine"),
        ((120, 30), "plots", "rates", "data tricks loss rates flags layers machine"),
        ((80, 24), "plots", "loss", "loss accuracy"),
        ((80, 24), "tricks", "loss", "tricks"),
        ((80, 12), "plots", "accuracy", "accuracy"),
        ((40, 12), "plots", "rates", "rates"),
        ((40, 12), "machine", "rates", "machine"),
    ],
)
def test_what_a_size_has_room_for(size: tuple[int, int], page: str, plot: str, shown: str) -> None:
    assert shown_panes(*size, page, plot) == set(shown.split())


@pytest.mark.parametrize("width", [20, 38, 58, 78, 100, 158, 300])
def test_the_header_fits_on_one_line(runs: Path, width: int) -> None:
    line = header_content(header("a_rather_long_name_of_a_run", "7f3a", "running", canned(runs)), width)
    assert line.cell_length <= width or width < 40
    assert "training" in line.plain


def test_the_first_frame_needs_neither_torch_nor_numpy() -> None:
    code = "import sys, cockpit.ui.app, cockpit.ui.screens.launch; print(sorted({'torch', 'numpy', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_share_of_dead_units_stays_in_view_between_evaluations(runs: Path) -> None:
    history = canned(runs)
    assert history.started
    count = len(history.started.layers)
    later = blank(40 * count, LAYERS)
    later["layer"], later["step"] = np.tile(np.arange(count), 40), history.step
    before = [row.dead for row in layers(history)]
    history.layers = np.concatenate([history.layers, later])
    assert [row.dead for row in layers(history)] == before != ["-"] * count


@pytest.mark.parametrize(("number", "shown"), [(3.127, "3.1"), (20.0, "20"), (2421.5, "2,421.5"), (0.0, "0")])
def test_epochs_are_counted_without_exponents(number: float, shown: str) -> None:
    assert epochs(number) == shown


def test_what_the_network_answers_is_one_glance(runs: Path) -> None:
    seen = canned(runs)
    assert answers(seen) is None
    outputs = Outputs(
        samples=9,
        width=3,
        low=-2.5,
        high=4.0,
        row_sum_error=1.0,
        column_sum_error=1.0,
        spread=1.0,
        entropy=0.5,
        histogram=(1, 4),
    )
    seen.evaluations[-1] = replace(seen.evaluations[-1], outputs=outputs, recalls=(0.9, math.nan, 0.25))
    found = answers(seen)
    assert found is not None and found.histogram == (1, 4) and found.span == "-2.5 to 4"
    assert found.words.startswith("entropy 0.50 · least recall 25 % (") and answers(History()) is None
