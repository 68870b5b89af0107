"""The guard: what it skips leaves no trace, what it clips stays within its limit, and what it cannot mend leads back."""

import math

import pytest
import torch
from conftest import TINY
from kit import moment
from test_loop import assert_same

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble
from cockpit.engine.device import Precision
from cockpit.engine.logbook import Logbook
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.history import read_history
from cockpit.runs.mailbox import Command
from cockpit.travel import Gradients, Setback

RICH = ("model.norm=batch", "tricks={guard: on, weight_ema: on, mixup: on}", "optimizer.momentum=0.9", "train.epochs=4")
BAD = (7, 8, 15)
"""Steps whose loss is spoilt."""


def built(*edits):
    torch.set_num_threads(1)
    job, _ = assemble(loads(TINY, edits=edits), Places(root=data_root()))
    job.model.train()
    return job


def spoil(job, factor, steps=BAD):
    """Make the loss of these steps (from 1) another one."""
    whole = job.objective

    def spoilt(batch, at):
        seen = whole(batch, at)
        return seen._replace(loss=seen.loss * factor) if at.clock.step + 1 in steps else seen

    job.objective = spoilt
    return job


def fly_steps(job, steps=20, dropped=()):
    """Train so many steps; the dropped ones are not made at all."""
    recorder = Recorder(lambda steps, layers: None)
    while job.step < steps:
        for places in job.rest_of_epoch():
            if job.step + 1 in dropped:
                job.step += 1
            else:
                take_step(job, places, recorder)
    return job


def state(job):
    found = dict(job.model.state_dict())
    for number, held in job.optimizer.state_dict()["state"].items():
        found |= {f"{number}.{name}": value for name, value in held.items() if torch.is_tensor(value)}
    return found | {f"ema.{name}": value for name, value in job.wiring.plugs["weight_ema"].state_dict().items()}


@pytest.mark.parametrize(("factor", "edit"), [(math.nan, "on"), (math.inf, "on"), (1e6, "{on_spike: skip}")])
def test_a_skipped_step_is_as_if_it_had_never_been(factor, edit):
    late = tuple(step + 20 for step in BAD)  # past the norms that make a median
    edits = (*RICH, f"tricks.guard={edit}", "train.epochs=6")
    guarded = fly_steps(spoil(built(*edits), factor, late), 36)
    twin = fly_steps(built(*edits), 36, dropped=late)
    assert_same(state(guarded), state(twin))
    assert len(guarded.news()) == 3 and guarded.news() == []


def test_a_step_that_is_held_is_not_a_step():
    job = spoil(built(*RICH), math.nan, (2,))
    recorder = Recorder(lambda steps, layers: None)
    for places, held in zip(job.rest_of_epoch(), (False, True, False), strict=False):
        take_step(job, places, recorder)
        assert (job.held, job.stepped) == (held, not held)


def watch(**knobs):
    text = "{" + ", ".join(f"{key}: {value}" for key, value in knobs.items()) + "}"
    guard = loads(TINY, edits=[f"tricks.guard={text}" if knobs else "tricks.guard=on"]).tricks["guard"]
    made = []
    plug = guard.plug(type("Parts", (), {"model": torch.nn.Linear(1, 1)}))
    update = plug.update(lambda again: made.append(True), None)

    def step(norm, number=0, scaled=False):
        gradient = torch.tensor([float(norm), 0.0])
        seen = plug.grads(Gradients([gradient], None, scaled), moment(number))
        made.clear()
        update(lambda: None)
        return bool(made), float(gradient[0]), float(seen.norm)

    return plug, step


def test_a_spike_is_clipped_at_the_limit_and_only_once_there_is_a_usual_norm():
    plug, step = watch(spike=4)
    assert [step(100 if number == 5 else 2.0, number)[1] for number in range(20)].count(2.0) == 19
    assert step(8.0)[1] == pytest.approx(8.0)
    made, clipped, norm = step(8.1)
    assert made and clipped == pytest.approx(8.0, rel=1e-4) and norm == pytest.approx(8.1)
    assert plug.news == ["step 1 clipped: gradient norm 8.1, above 8"]


def test_after_three_acts_it_only_counts_until_the_next_evaluation():
    from cockpit.travel import Verdict

    plug, step = watch(patience=100)
    for number in range(5):
        assert step(math.nan, number)[0] is False
    assert len(plug.news) == 3
    plug.verdict(Verdict(True, 1.0, 1))
    assert plug.news[3:] == ["since the last evaluation 2 skipped for a norm that is no number"]
    plug.verdict(Verdict(True, 1.0, 2))
    assert len(plug.news) == 4


def test_patience_counts_bad_steps_in_a_row():
    _, step = watch(patience=3)
    for norm in (math.nan, math.inf, 1.0, math.nan, math.nan):
        step(norm)
    with pytest.raises(Setback, match="3 bad steps in a row, the last with gradient norm nan"):
        step(math.nan)


def test_rollback_stop_and_note():
    with pytest.raises(Setback):
        watch(on_nonfinite="rollback")[1](math.nan)
    with pytest.raises(FloatingPointError, match="gradient norm inf at step 1"):
        watch(on_nonfinite="stop")[1](math.inf)
    plug, step = watch(on_spike="note", patience=1)
    assert all(step(norm)[0] for norm in [1.0] * 20 + [50.0, 50.0])
    assert len(plug.news) == 2


def test_what_overflows_under_fp16_is_left_to_the_scaler():
    plug, step = watch(patience=2)
    assert all(step(math.inf, scaled=True)[0] for _ in range(5)) and plug.news == []


def test_a_step_held_back_under_fp16_leaves_the_scaler_ready_for_the_next():
    job = built("tricks.guard={on_spike: skip}", "train.epochs=6")
    job.precision = Precision("fp32", job.device, torch.amp.GradScaler("cpu", init_scale=8.0))
    fly_steps(spoil(job, 1e6, (23, 24)), 30)
    assert len(job.news()) == 2 and all(torch.isfinite(weight).all() for weight in job.model.parameters())


def flight_with(runs, monkeypatch, factor, steps, *edits):
    """A flight whose loss is spoilt at some steps, whatever is rewired."""
    from cockpit.engine.training import Training

    rewrap = Training._rewrap

    def rewrapped(job):
        rewrap(job)
        spoil(job, factor, steps)

    monkeypatch.setattr(Training, "_rewrap", rewrapped)
    run = new_run(loads(TINY, edits=edits), runs, "guarded", allow_code=False, command=[])
    return Flight(run, say=lambda text: None)


def test_a_loss_that_is_no_number_does_not_end_a_guarded_run(runs, monkeypatch):
    flight = flight_with(runs, monkeypatch, math.nan, (9,), "tricks.guard=on")
    flight.fly()
    history = read_history(flight.run)
    assert flight.end.state == "finished" and math.isnan(history.steps["loss"][8])
    assert [note.text for note in history.notes] == ["guard: step 9 skipped: gradient norm nan"]
    assert history.notes[0].step == 9


def test_without_the_guard_it_does(runs, monkeypatch):
    flight = flight_with(runs, monkeypatch, math.nan, (9,))
    flight.fly()
    assert flight.end.state == "failed" and "the loss became nan at step 9" in flight.end.reason


def test_when_its_patience_is_over_the_run_goes_back_and_pauses(runs, monkeypatch):
    monkeypatch.setattr("cockpit.engine.logbook.settled", lambda history: True)
    steps = list(range(9, 12))
    flight = flight_with(runs, monkeypatch, math.nan, steps, "tricks.guard={patience: 2}", "flags.non_finite=off")
    listen, stood = flight.control._listen, []

    def after_pause(crew):
        if flight.control.paused and not stood:
            stood.append(flight.step)
            steps.clear()  # whatever it was, it is over
            flight.control.post(Command("continue"))
        return listen(crew)

    flight.control._listen = after_pause
    flight.fly()
    history = read_history(flight.run)
    assert flight.end.state == "finished" and stood == [6]
    assert any(note.text.endswith("back from step 9 to step 6, and paused there") for note in history.notes)
    assert history.steps["step"].tolist() == list(range(1, 13))
    assert [command.verb for command in history.commands] == ["continue"]


def test_rows_of_held_steps_are_forgiven_and_no_others(runs):
    import numpy as np

    from cockpit.engine.logbook import NonFiniteLossError
    from cockpit.runs.events import Ended
    from cockpit.runs.tables import LAYERS, STEPS, blank

    log = Logbook(new_run(loads(TINY), runs, "log", allow_code=False, command=[]))
    rows = blank(4, STEPS)
    rows["step"], rows["loss"] = [1, 2, 3, 4], [1.0, np.nan, 1.0, np.inf]
    rows["held"] = [0, 1, 0, 0]
    log.deliver(rows[:3], blank(0, LAYERS))
    with pytest.raises(NonFiniteLossError, match="inf at step 4"):
        log.deliver(rows[3:], blank(0, LAYERS))
    log.ended(Ended(state="failed"))


@pytest.mark.parametrize(
    "edit",
    [
        "optimizer={name: timm, which: adahessian, lr: 0.01}",
        "optimizer=lbfgs",
        "tricks={guard: on, sam: on}",
        "tricks={guard: on, grad_clip: {max_norm: 0.1}}",
        "tricks={guard: {spike: 1.01}, grad_clip: {mode: agc, max_norm: 0.01}}",
    ],
)
def test_it_stands_beside_optimizers_and_tricks_that_ask_for_more(edit):
    job = built("tricks.guard=on", edit, "train.epochs=6")
    bad = job.total_steps - 2
    fly_steps(spoil(job, math.nan, (bad,)), job.total_steps)
    assert all(torch.isfinite(weight).all() for weight in job.model.parameters())
    assert any(f"step {bad} skipped" in text for text in job.news()) or job.recipe.tricks["guard"].spike < 2
