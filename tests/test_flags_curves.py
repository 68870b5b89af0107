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

    @pytest.mark.parametrize(("worst_loss", "accuracy", "says"), [(17.2, 0.3, "warning"), (16.4, 0.3, ""), (17.2, 0.33, "")])
    def test_thrown_far_it_must_know_more_than_a_little(self, worst_loss: float, accuracy: float, says: str) -> None:
        loss: KNOTS = [[1, 2.8], [10, worst_loss], [18, 2.31], [400, 2.303]]
        seen = {"train_accuracy": accuracy}
        thrown = made(loss=loss, ratio=[[1, 0.5], [20, 1e-3]], noise=0.0, measured={"loss": 2.8}, evaluations=seen)
        assert worst("lr_too_high", thrown) == says

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

    def test_what_left_the_numbers_does_not_come_back(self) -> None:
        lost = [2.8, 30.0, 500.0] + [float("nan")] * 397
        found = replay(made(loss=lost, measured={"loss": 2.8}, evaluations=None), [flags()["lr_too_high"].cls()])
        assert [type(one) for one in found] == [Flagged]

    def test_nan_out_of_the_blue_is_another_illness(self) -> None:
        assert worst("lr_too_high", made(lost=[[45, "loss", "nan"]], evaluations=None)) == ""

    def test_where_chance_is_unknown_the_start_stands_for_it(self) -> None:
        unknown: dict[str, Any] = {
            "started": {"chance_loss": float("nan"), "chance_accuracy": float("nan")},
            "evaluations": None,
        }
        nan = {"loss": 1.0, "expected_loss": float("nan")}
        grown: KNOTS = [[1, 1.0], [60, 1.0], [80, 1.56], [400, 1.56]]
        assert worst("lr_too_high", made(loss=grown, measured=nan, **unknown)) == "warning"
        assert worst("lr_too_high", made(loss=grown, measured=nan, **unknown), grown=1.6) == ""
        assert worst("lr_too_high", made(loss=[[1, -1.0], [400, -0.5]], measured=nan | {"loss": -1.0}, **unknown)) == ""
        told: dict[str, Any] = {
            "started": {"chance_loss": float("nan"), "chance_accuracy": float("nan")},
            "evaluations": {"train_accuracy": 0.5},
        }
        assert worst("lr_too_high", made(loss=grown, measured=nan, **told)) == "warning"
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

    def test_a_plateau_is_no_slow_fall_unless_the_weights_stand_still(self) -> None:
        flat = {"train_accuracy": 0.1, "train_loss": [2.30, 2.31] * 10}
        assert worst("lr_too_low", made(ratio=3e-4, loss=2.31, noise=0.02, evaluations=flat)) == ""
        assert worst("lr_too_low", made(ratio=1e-4, loss=2.31, noise=0.02, evaluations=flat)) == "warning"

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
        assert worst("lr_too_low", made(**quiet, lr=[[1, 0.1], [20, 0.1], [40, 0.049], [400, 0.0]])) == ""
        assert worst("lr_too_low", made(**quiet, lr=[[1, 0.1], [20, 0.1], [40, 0.051], [400, 0.0]])) == "warning"
        assert worst("lr_too_low", made(**quiet, lr=[[1, 0.1], [30, 0.0], [31, 0.1], [400, 0.1]])) == ""

    def test_large_early_updates_are_no_low_rate(self) -> None:
        assert worst("lr_too_low", made(ratio=[[1, 1e-2], [100, 1e-4], [400, 1e-4]], **self.SLOW)) == ""

    def test_mixing_and_open_ends_are_not_judged(self) -> None:
        assert worst("lr_too_low", made(ratio=1e-4, **self.SLOW, started={"traits": ("mixes", "soft_targets")})) == ""
        assert worst("lr_too_low", made(ratio=1e-4, **self.SLOW, started={"total_steps": 0})) == ""


class TestUpdateRatio:
    STILL: dict[str, Any] = {"loss": LN10, "noise": 0.02, "evaluations": GUESS}

    @pytest.mark.parametrize(
        ("log", "says"), [(-0.95, "warning"), (-1.05, ""), (-3.0, ""), (-4.95, ""), (-5.05, "warning"), (-9.1, "")]
    )
    def test_the_limits(self, log: float, says: str) -> None:
        assert worst("update_ratio", made(ratio=10**log, **self.STILL)) == says

    def test_the_remedy_is_the_factor(self) -> None:
        (found,) = risen("update_ratio", made(ratio=0.5, **self.STILL))
        assert found.remedies[0].edits == (("optimizer.lr", "0.0005"),) and found.step <= 140
        (found,) = risen("update_ratio", made(ratio=3e-6, **self.STILL))
        assert found.remedies[0].edits == (("optimizer.lr", "80"),)

    def test_knobs(self) -> None:
        assert worst("update_ratio", made(ratio=0.05, **self.STILL), high=-1.5) == "warning"
        assert worst("update_ratio", made(ratio=1e-4, **self.STILL), low=-3.5) == "warning"

    def test_while_the_loss_falls_large_updates_are_a_note(self) -> None:
        """As Muon, LARS and LAMB make them."""
        assert worst("update_ratio", made(ratio=0.3, loss=[[1, 2.3], [400, 0.5]])) == "info"

    def test_while_the_loss_falls_small_updates_are_nothing(self) -> None:
        assert worst("update_ratio", made(ratio=1e-6, loss=[[1, 2.3], [400, 0.5]])) == ""

    def test_a_network_that_has_learned_rests(self) -> None:
        assert worst("update_ratio", made(ratio=1e-6, loss=0.001, evaluations={"train_accuracy": 1.0})) == ""

    def test_a_loop_that_tells_no_accuracy_rests_by_its_loss(self) -> None:
        untold = {"train_accuracy": float("nan")}
        assert worst("update_ratio", made(ratio=1e-6, loss=0.24 * LN10, evaluations=untold)) == ""
        assert worst("update_ratio", made(ratio=1e-6, loss=0.26 * LN10, evaluations=untold)) == "warning"

    def test_tail_of_a_decay_warm_up_and_no_rate(self) -> None:
        tail: KNOTS = [[1, 1e-3], [200, 1e-3], [201, 1e-6], [400, 1e-6]]
        for rates in ([[1, 0.1], [200, 0.1], [201, 0.0099], [400, 0.0]], [[1, 1e-5], [400, 0.1]]):
            assert worst("update_ratio", made(ratio=tail, lr=rates, **self.STILL)) == ""
        assert worst("update_ratio", made(ratio=1e-6, lr=0.0, **self.STILL)) == ""

    def test_steps_that_are_skipped_do_not_count(self) -> None:
        """Accumulation in a loop of the user's own, and a loss scaler: every other measured step changes nothing."""
        zero = [[float(step), 0.0 if step % 20 == 0 else 1e-3] for step in range(1, 401)]
        assert worst("update_ratio", made(ratio=zero, **self.STILL)) == ""

    def test_where_chance_is_unknown_the_loss_itself_tells(self) -> None:
        unknown: dict[str, Any] = {"started": {"chance_loss": float("nan")}, "evaluations": None}
        assert worst("update_ratio", made(ratio=0.3, loss=[[1, 9.0], [400, 3.0]], **unknown)) == "info"
        assert worst("update_ratio", made(ratio=0.3, loss=9.0, noise=0.1, **unknown)) == "warning"


class TestOscillating:
    SWINGS = [0.3, 0.5, 0.6] + [0.6, 0.45] * 9

    def evaluated(self, scores: list[float], train: float = 0.6) -> dict[str, Any]:
        return {"val_accuracy": scores, "train_accuracy": train}

    def test_swings_late(self) -> None:
        (found,) = risen("oscillating", made(evaluations=self.evaluated(self.SWINGS)))
        assert found.severity == "warning" and found.step == 220 and "15.0%" in found.headline
        assert [remedy.edits[0][0] for remedy in found.remedies] == [
            "optimizer.lr", "schedule.name", "tricks.weight_ema", "train.batch_size",
        ]  # fmt: skip

    def test_of_a_network_that_has_learned_it_is_a_note(self) -> None:
        assert worst("oscillating", made(evaluations=self.evaluated(self.SWINGS, train=0.95))) == "info"

    @pytest.mark.parametrize(("swing", "says"), [(0.029, ""), (0.031, "warning")])
    def test_the_size_of_a_swing_is_a_limit(self, swing: float, says: str) -> None:
        scores = [0.6, 0.6 - swing] * 10
        assert worst("oscillating", made(evaluations=self.evaluated(scores), run={"val_size": 20_000})) == says

    @pytest.mark.parametrize(("size", "says"), [(300, ""), (600, "warning")])
    def test_the_noise_of_the_images_is_a_limit(self, size: int, says: str) -> None:
        """0.08 about the mean against three times sqrt(0.24 / size)."""
        assert worst("oscillating", made(evaluations=self.evaluated([0.67, 0.53] * 10), run={"val_size": size})) == says

    def test_rare_swings(self) -> None:
        scores = [0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.45, 0.6, 0.6] * 2
        assert worst("oscillating", made(evaluations=self.evaluated(scores))) == ""

    def test_steep_rise_with_one_dip(self) -> None:
        scores = [0.1] * 10 + [0.11, 0.18, 0.2, 0.27, 0.45, 0.38, 0.52, 0.6, 0.7, 0.8]
        assert worst("oscillating", made(evaluations=self.evaluated(scores))) == ""

    def test_only_at_a_constant_rate_and_not_after_restarts(self) -> None:
        seen = self.evaluated(self.SWINGS)
        assert worst("oscillating", made(evaluations=seen, lr=[[1, 0.1], [400, 0.0]])) == ""
        assert worst("oscillating", made(evaluations=seen, lr=[[1, 0.1], [99, 0.0], [100, 0.1], [400, 0.1]])) == ""

    def test_tiny_batches(self) -> None:
        seen = self.evaluated(self.SWINGS)
        assert worst("oscillating", made(evaluations=seen, started={"batch_size": 8})) == ""
        assert worst("oscillating", made(evaluations=seen, started={"batch_size": 9})) == "warning"

    def test_an_unknown_accuracy(self) -> None:
        assert worst("oscillating", made(evaluations=self.evaluated([float("nan")] * 20))) == ""


class TestWastedCompute:
    PLATEAU: dict[str, Any] = {"loss": [[1, 2.3], [30, 1.7], [400, 1.7]], "noise": 0.02}

    def died(self, at: int) -> KNOTS:
        return [[1, 0.1], [at, 0.1], [at + 1, 0.99e-4], [400, 1e-5]]

    def test_a_schedule_that_counts_steps(self) -> None:
        (found,) = risen("wasted_compute", made(lr=self.died(30), **self.PLATEAU))
        assert found.severity == "warning" and found.step == 60 and "step 30 of 400" in found.headline
        assert [remedy.edits for remedy in found.remedies] == [
            (("schedule.name", "cosine"),), (("schedule.name", "constant"),),
        ]  # fmt: skip

    def test_a_thousandth_of_the_peak_is_the_limit(self) -> None:
        low: KNOTS = [[1, 0.1], [30, 0.1], [31, 1.01e-4], [400, 1.01e-4]]
        assert worst("wasted_compute", made(lr=low, **self.PLATEAU)) == ""

    @pytest.mark.parametrize(("at", "says"), [(195, "warning"), (201, "")])
    def test_half_of_the_run_is_the_limit(self, at: int, says: str) -> None:
        assert worst("wasted_compute", made(lr=self.died(at), **self.PLATEAU)) == says

    def test_it_must_last(self) -> None:
        """Restarts of a cosine touch zero and come back."""
        back: KNOTS = [[1, 0.1], [99, 0.0], [109, 0.0], [110, 0.1], [400, 0.1]]
        assert worst("wasted_compute", made(lr=back, **self.PLATEAU)) == ""

    def test_a_short_schedule_that_was_long_enough(self) -> None:
        falls = {"val_loss": [[1, 2.0], [20, 0.5]]}
        assert worst("wasted_compute", made(lr=self.died(100), evaluations=falls | {"train_accuracy": 0.9})) == ""
        assert worst("wasted_compute", made(lr=self.died(100), loss=[[1, 2.3], [100, 0.1]], evaluations=falls)) == ""

    def test_a_rate_that_is_zero_on_purpose_or_unknown(self) -> None:
        assert worst("wasted_compute", made(lr=0.0, **self.PLATEAU)) == ""
        assert worst("wasted_compute", made(lr=self.died(30), started={"total_steps": 0}, **self.PLATEAU)) == ""
        assert worst("wasted_compute", made(lr=self.died(30), started={"traits": ("no_lr",)}, **self.PLATEAU)) == ""

    def idle(self, best: int) -> dict[str, Any]:
        scores: KNOTS = [[1, 0.3], [best, 0.85], [20, 0.85]]
        losses: KNOTS = [[1, 2.0], [best, 0.5], [20, 0.6]]
        return {"val_accuracy": scores, "val_loss": losses, "train_accuracy": 0.97}

    @pytest.mark.parametrize(("best", "says"), [(13, "info"), (14, "")])
    def test_nothing_better_for_a_third_of_the_run_is_a_note(self, best: int, says: str) -> None:
        found = risen("wasted_compute", made(evaluations=self.idle(best)))
        assert [one.severity for one in found] == ([says] if says else [])
        assert all(one.remedies[0].verb == "stop" for one in found)

    def test_a_network_that_still_learns_its_images_is_let_be(self) -> None:
        assert worst("wasted_compute", made(evaluations=self.idle(8) | {"train_accuracy": 0.6})) == ""


@pytest.mark.parametrize(("ratio", "first"), [(1e-3, "1"), (0.9e-2, "1"), (1.1e-2, "0.01")])
def test_not_learning_lowers_a_rate_that_moves_much(ratio: float, first: str) -> None:
    still = made(ratio=ratio, loss=LN10, noise=0.02, evaluations=GUESS, run={"steps": 800, "steps_per_epoch": 40})
    (found,) = risen("not_learning", still)
    assert found.remedies[0].edits == (("optimizer.lr", first),)


@pytest.mark.parametrize(
    ("share", "level", "largest", "says"),
    [(1.0, 0.91, 0.5, "warning"), (1.0, 0.89, 0.5, ""), (0.98, 0.91, 0.5, ""), (1.0, 0.91, 0.61, "")],
)
def test_one_answer_for_all_is_no_knowledge(share: float, level: float, largest: float, says: str) -> None:
    """As under an absolute error, where a constant earns less than the class shares."""
    run = {"steps": 800, "steps_per_epoch": 40, "chance_accuracy": largest}
    still = made(loss=level * LN10, run=run, evaluations={"train_accuracy": largest})
    still.evaluations = [dataclasses.replace(seen, largest_class_share=share) for seen in still.evaluations]
    assert worst("not_learning", still) == says
