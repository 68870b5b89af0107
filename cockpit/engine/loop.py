"""The training loop. Its seams are drawn in `cockpit.seams`; no trick is named here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cockpit.engine.control import Control, End
from cockpit.engine.evaluation import evaluate, measure_start
from cockpit.engine.keeper import Keeper
from cockpit.engine.memory import with_room
from cockpit.engine.recorder import Left, Recorder
from cockpit.engine.remedy import tell
from cockpit.engine.repeat import Mark
from cockpit.engine.training import Training
from cockpit.nets.statistics import frozen_statistics
from cockpit.travel import Batch, Moment, Outcome, Setback

if TYPE_CHECKING:
    from cockpit.travel import Again


def train(job: Training, recorder: Recorder, keeper: Keeper, control: Control) -> End:
    """Train to the planned end, or until a command or a verdict ends it. Raises what the step raises and nothing mends."""
    job.model.train()
    job.team.begin(job)
    recorder.defers = job.team.several
    if job.step == 0:
        keeper.logbook.measured(*measure_start(job))
        keeper.save_start(job)
    recorder.restart_clock()
    end = None
    while not end and job.step < job.total_steps:
        try:
            end = train_epoch(job, recorder, keeper, control)
        except (Setback, FloatingPointError) as error:
            end = control.recover(error, job, recorder, keeper)
    recorder.flush()
    recorder.settle()
    control.close()
    return end or End("finished")


def train_epoch(job: Training, recorder: Recorder, keeper: Keeper, control: Control) -> End | None:
    """What the epoch still has to make, or less where the run ends or goes back to an earlier step."""
    for places in job.rest_of_epoch():
        take_step(job, places, recorder)
        stop = ""
        if job.calendar.ends_epoch(job.step):
            recorder.flush()
            job.stages.enter("evaluation")
            stop = evaluate(job, keeper)
            job.stages.enter("record")
            recorder.restart_clock()
        tell(job, keeper)
        here = job.step
        end = control.obey(job, recorder, keeper)
        if job.step != here:
            return end
        if end or stop:
            recorder.flush()
            return end or End("finished", stop)
    return None


def take_step(job: Training, places: Tensor, recorder: Recorder) -> None:
    """One update, recorded."""
    recorder.step(advance(job, places))


def advance(job: Training, places: Tensor, rate: float | None = None) -> Left:
    """One update, with the seams drawn in; at the schedule's learning rate, or at another."""
    job.stages.step(sampled=job.probe.due(job.step + 1))
    at = job.moment()
    lr = job.set_lr(at, rate)
    batches, again, seen = with_room(job, len(places), lambda: passes(job, places, at))
    job.stages.enter("optimizer")
    norm = job.gradients(at)
    job.update(again)
    layers = job.probe.after()
    if job.stepped:
        job.wiring.through("weights", job.model, at)
    job.step += 1
    job.stages.enter("record")
    spent = job.probe.meter.take()
    return Left(
        job.step, lr, seen.loss, seen.logits, batches[-1].y, norm, layers, spent, held=job.held, accuracy=job.team.accuracy
    )


def passes(job: Training, places: Tensor, at: Moment) -> tuple[list[Batch], Again, Outcome]:
    """The batch of a step, the way to pass it again, and what came of passing it."""
    batches = job.batches(places, at)
    again = repeat_of(job, batches, at)
    return batches, again, backward(job, batches, at)


def backward(job: Training, batches: Sequence[Batch], at: Moment) -> Outcome:
    """The lines of the lecture: forward, loss, backward; the parts of a large batch weigh as much as they hold images.

    Returns the loss of the whole batch and the logits of its last part, both detached.
    """
    job.zero_grad()
    losses = []
    for number, batch in enumerate(batches):
        job.stages.enter("forward")
        loss, logits = job.objective(batch, at.part(number))  # yhat = model(x); loss = criterion(yhat, y)
        loss = job.team.weigh(job, loss, batches, number)
        job.stages.enter("backward")
        job.descend(loss)
        losses.append(loss.detach())
    total = torch.stack(losses).sum() if len(losses) > 1 else losses[0]
    return job.team.gather(Outcome(total, logits.detach()), batches[-1])


def repeat_of(job: Training, batches: Sequence[Batch], at: Moment) -> Again:
    """The passes that come next, to be made once more wherever the weights then stand."""
    mark = Mark(job.device) if job.looks_twice else None

    def again() -> Tensor:
        assert mark is not None, "a trick that looks at a batch twice says so with the tag looks_twice"
        with torch.enable_grad(), mark.rewound(), frozen_statistics(job.model):
            loss = backward(job, batches, at).loss
        job.stages.enter("optimizer")
        job.gradients(at, measure=False)
        return loss

    return again
