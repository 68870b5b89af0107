"""The flags about the learning rate on canned series: both sides of every threshold, and each trap."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from flags_canned import history, series

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.runs.events import Cleared, Flagged
from cockpit.runs.history import History

KNOTS = list[list[float]]
LN10 = 2.302585


def made(*, ratio: float | KNOTS = 1e-3, started: dict[str, Any] | None = None, **case: Any) -> History:
    """A canned history with update ratios of its own; `evaluations=None` leaves the run without evaluations."""
    evaluated = case.pop("evaluations", {})
    canned = history({"name": "curve", "evaluations": evaluated or {}, **case})
    measured = ~np.isnan(canned.steps["update_ratio"])
    canned.steps["update_ratio"] = np.where(measured, series(ratio, canned.steps["step"]), np.nan)
    assert canned.started is not None
    canned.started = dataclasses.replace(canned.started, **(started or {}))
    if evaluated is None:
        canned.evaluations = []
    return canned


def risen(name: str, canned: History, **knobs: Any) -> list[Flagged]:
    return [found for found in replay(canned, [flags()[name].cls(**knobs)]) if isinstance(found, Flagged)]


def worst(name: str, canned: History, **knobs: Any) -> str:
    return max(
        (found.severity for found in risen(name, canned, **knobs)), key=["info", "warning", "critical"].index, default=""
    )


GUESS = {"train_accuracy": 0.1, "val_accuracy": 0.1}


class TestLrTooHigh:
    UP: KNOTS = [[1, 2.3], [190, 1.0], [200, 2.9], [400, 2.9]]

    def test_the_loss_goes_up_and_stays(self) -> None:
        (found,) = risen("lr_too_high", made(loss=self.UP, noise=0.05, evaluations=GUESS))
        assert found.severity == "warning" and found.step <= 260
        assert [remedy.edits[0][0] for remedy in found.remedies] == ["optimizer.lr", "tricks.grad_clip"]
        assert found.remedies[0].edits[0][1] == "0.01" and found.remedies[0].since == "before"

    def test_far_up_is_critical(self) -> None:
        assert worst("lr_too_high", made(loss=[[1, 2.3], [190, 1.0], [200, 9.0]], noise=0.05, evaluations=GUESS)) == "critical"

    @pytest.mark.parametrize(("level", "says"), [(1.2 * LN10 - 0.002, ""), (1.2 * LN10 + 0.002, "warning")])
    def test_a_fifth_above_chance_is_the_limit(self, level: float, says: str) -> None:
        assert worst("lr_too_high", made(loss=[[1, 2.3], [190, 2.2], [191, level]], evaluations=GUESS)) == says

    @pytest.mark.parametrize(("level", "says"), [(2.4, "warning"), (2.4 * 1.2, "warning"), (2.4 * 1.3, "")])
    def test_a_knob_moves_it(self, level: float, says: str) -> None:
        assert (
            worst("lr_too_high", made(loss=[[1, 2.3], [190, 2.2], [191, 2.9]], evaluations=GUESS), above=level / 2.4 + 0.01)
            == says
        )

    def test_a_network_that_knows_more_than_a_guess_is_let_be(self) -> None:
        assert worst("lr_too_high", made(loss=self.UP, noise=0.05, evaluations={"train_accuracy": 0.5})) == ""

    def test_a_spike_that_recovers(self) -> None:
        spike: KNOTS = [[1, 2.3], [190, 1.0], [195, 9.0], [225, 1.0], [400, 0.5]]
        assert worst("lr_too_high", made(loss=spike, noise=0.05, evaluations=GUESS)) == ""

    def test_early_instability_that_recovers(self) -> None:
        early: KNOTS = [[1, 2.3], [5, 30.0], [20, 6.0], [60, 3.5], [120, 2.0], [400, 0.5]]
        assert worst("lr_too_high", made(loss=early, ratio=[[1, 0.5], [20, 0.02]], noise=0.05, evaluations=GUESS)) == ""

    def test_a_bump_at_the_end_of_the_warm_up(self) -> None:
        bump: KNOTS = [[1, 2.3], [80, 1.2], [120, 4.0], [160, 1.1], [400, 0.5]]
        assert worst("lr_too_high", made(loss=bump, run={"warmup_steps": 150}, noise=0.05, evaluations=GUESS)) == ""

    def test_a_bad_start_on_its_way_down(self) -> None:
        down = made(loss=[[1, 18.0], [400, 9.0]], noise=0.3, measured={"loss": 18.0}, evaluations=GUESS)
        assert worst("lr_too_high", down) == ""

    def test_cosine_restarts(self) -> None:
        loss: KNOTS = [[1, 2.3], [195, 0.3], [205, 1.8], [300, 0.8], [400, 0.2]]
        assert worst("lr_too_high", made(loss=loss, lr=[[1, 0.1], [199, 0.0], [200, 0.1], [400, 0.0]], noise=0.05)) == ""

    def test_sorted_batches(self) -> None:
        """Every epoch of twenty steps goes through the classes: near 0 while one lasts, high where the next begins."""
        saw = [[float(step), 6.0 if step % 2 == 0 else 0.2] for step in range(1, 401)]
        assert worst("lr_too_high", made(loss=saw, evaluations={"train_accuracy": 0.6})) == ""

    def test_stuck_since_the_first_steps(self) -> None:
        loss: KNOTS = [[1, 2.8], [5, 4.1], [12, 9.0], [18, 2.31], [400, 2.303]]
        thrown: dict[str, Any] = {"loss": loss, "noise": 0.02, "evaluations": GUESS, "measured": {"loss": 2.8}}
        (found,) = risen("lr_too_high", made(ratio=[[1, 0.5], [6, 0.3], [20, 1e-3]], **thrown))
        assert found.severity == "warning" and found.step <= 60
        assert worst("lr_too_high", made(ratio=[[1, 0.099], [20, 1e-3]], **thrown)) == ""
        assert (
            worst("lr_too_high", made(ratio=[[1, 0.5], [20, 1e-3]], **{**thrown, "evaluations": {"train_accuracy": 0.3}})) == ""
        )

    def test_large_first_updates_are_no_blow_up_while_the_loss_stays(self) -> None:
        assert worst("lr_too_high", made(loss=LN10, noise=0.02, ratio=[[1, 0.5], [20, 0.3]], evaluations=GUESS)) == ""

    def test_collapse(self) -> None:
        loss: KNOTS = [[1, 2.3], [150, 1.2], [200, 1.2], [210, 2.32], [400, 2.303]]
        (found,) = risen(
            "lr_too_high", made(loss=loss, noise=0.02, evaluations={"train_accuracy": [[1, 0.3], [9, 0.6], [11, 0.1]]})
        )
        assert found.severity == "warning" and 250 <= found.step <= 280

    @pytest.mark.parametrize(("best", "says"), [(0.79, "warning"), (0.81, "")])
    def test_only_what_was_learned_can_collapse(self, best: float, says: str) -> None:
        loss: KNOTS = [[1, 2.3], [100, best * LN10], [200, best * LN10], [210, 2.305], [400, 2.305]]
        assert worst("lr_too_high", made(loss=loss, evaluations=GUESS)) == says

    def test_rise_to_nan_is_proof(self) -> None:
        loss = [2.8, 217.0, 1.4e13, float("nan")]
        canned = made(loss=loss, run={"steps": 4, "total_steps": 128}, measured={"loss": 2.8}, evaluations=None)
        (found,) = risen("lr_too_high", canned)
        assert found.severity == "critical" and found.step == 4

    def test_nan_out_of_the_blue_is_another_illness(self) -> None:
        assert worst("lr_too_high", made(lost=[[45, "loss", "nan"]], evaluations=None)) == ""

    def test_where_chance_is_unknown_the_start_stands_for_it(self) -> None:
        unknown: dict[str, Any] = {
            "started": {"chance_loss": float("nan"), "chance_accuracy": float("nan")},
            "evaluations": None,
        }
        nan = {"loss": 1.0, "expected_loss": float("nan")}
        grown: KNOTS = [[1, 1.0], [60, 1.0], [80, 2.0], [400, 2.0]]
        assert worst("lr_too_high", made(loss=grown, noise=0.02, measured=nan, **unknown))
        assert worst("lr_too_high", made(loss=[[1, 1.0], [400, 0.3]], noise=0.02, measured=nan, **unknown)) == ""

    def test_clears_when_the_loss_comes_back(self) -> None:
        back: KNOTS = [[1, 2.3], [190, 1.0], [200, 3.5], [400, 3.5], [420, 1.0], [800, 0.5]]
        found = replay(made(loss=back, noise=0.05, run={"steps": 800}, evaluations=GUESS), [flags()["lr_too_high"].cls()])
        assert [type(one) for one in found] == [Flagged, Cleared]

    def test_an_optimizer_that_finds_its_rate_gets_no_rate(self) -> None:
        (found,) = risen("lr_too_high", made(loss=self.UP, noise=0.05, evaluations=GUESS, started={"traits": ("no_lr",)}))
        assert [remedy.edits[0][0] for remedy in found.remedies] == ["tricks.grad_clip"]


class TestLrTooLow:
    SLOW: dict[str, Any] = {"loss": [[1, 2.4], [400, 2.0]], "noise": 0.02, "evaluations": {"train_accuracy": 0.3}}

    def test_slow_from_the_first_epoch_on(self) -> None:
        (found,) = risen("lr_too_low", made(ratio=1e-4, **self.SLOW))
        assert found.severity == "warning" and found.step == 40
        assert found.remedies[0].edits == (("optimizer.lr", "3"),) and found.remedies[0].since == "now"
        assert found.remedies[1].edits == (("optimizer.lr", "3"), ("train.epochs", "80"))

    @pytest.mark.parametrize(("ratio", "says"), [(0.149 / 400, "warning"), (0.151 / 400, "")])
    def test_the_way_of_the_weights_is_the_limit(self, ratio: float, says: str) -> None:
        assert worst("lr_too_low", made(ratio=ratio, **self.SLOW)) == says

    @pytest.mark.parametrize(("end", "says"), [(0.38, ""), (0.42, "warning")])
    def test_what_is_left_at_the_end_is_the_limit(self, end: float, says: str) -> None:
        straight: KNOTS = [[1, LN10], [400, end * LN10]]
        assert worst("lr_too_low", made(ratio=1e-4, loss=straight, evaluations={"train_accuracy": 0.3})) == says

    def test_not_in_the_first_epoch_and_not_in_the_first_tenth(self) -> None:
        assert worst("lr_too_low", made(ratio=1e-5, **self.SLOW, run={"steps": 39, "total_steps": 400})) == ""
        assert (
            worst("lr_too_low", made(ratio=1e-5, **self.SLOW, run={"steps": 190, "total_steps": 400, "steps_per_epoch": 200}))
            == ""
        )

    def test_two_epochs_of_24_steps(self) -> None:
        short = {"steps": 48, "steps_per_epoch": 24}
        (found,) = risen("lr_too_low", made(ratio=5e-4, loss=[[1, 2.39], [48, 2.12]], noise=0.02, run=short, evaluations=GUESS))
        assert found.step == 24 and found.remedies[0].edits == (("optimizer.lr", "2"),)

    def test_a_plateau_is_no_slow_fall(self) -> None:
        flat = {"train_accuracy": 0.1, "train_loss": [2.30, 2.31] * 10}
        assert worst("lr_too_low", made(ratio=1e-4, loss=2.31, noise=0.02, evaluations=flat)) == ""

    def test_fine_tuning_moves_little_and_learns(self) -> None:
        tuned: KNOTS = [[1, 2.3], [100, 0.6], [400, 0.3]]
        assert (
            worst(
                "lr_too_low", made(ratio=1e-5, loss=tuned, noise=0.02, evaluations={"train_accuracy": [[1, 0.6], [20, 0.95]]})
            )
            == ""
        )

    def test_a_network_that_has_learned_is_let_be(self) -> None:
        assert worst("lr_too_low", made(ratio=1e-4, loss=self.SLOW["loss"], evaluations={"train_accuracy": 0.9})) == ""

    def test_warm_up_decay_and_restarts(self) -> None:
        quiet: dict[str, Any] = {"ratio": 1e-4, **self.SLOW}
        assert worst("lr_too_low", made(**quiet, run={"warmup_steps": 390}, lr=[[1, 1e-5], [390, 0.1]])) == ""
        assert worst("lr_too_low", made(**quiet, lr=[[1, 0.1], [400, 0.0]])) == ""
        assert worst("lr_too_low", made(**quiet, lr=[[1, 0.1], [30, 0.0], [31, 0.1], [400, 0.1]])) == ""

    def test_large_early_updates_are_no_low_rate(self) -> None:
        assert worst("lr_too_low", made(ratio=[[1, 1e-2], [100, 1e-4], [400, 1e-4]], **self.SLOW)) == ""

    def test_mixing_and_open_ends_are_not_judged(self) -> None:
        assert worst("lr_too_low", made(ratio=1e-4, **self.SLOW, started={"traits": ("mixes", "soft_targets")})) == ""
        assert worst("lr_too_low", made(ratio=1e-4, **self.SLOW, started={"total_steps": 0})) == ""
