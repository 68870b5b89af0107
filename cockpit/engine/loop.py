"""The training loop. Its seams are drawn in `cockpit.seams`; no trick is named here."""

from dataclasses import dataclass

from torch import Tensor

from cockpit.engine.control import Control
from cockpit.engine.evaluation import evaluate, measure_start
from cockpit.engine.keeper import Keeper
from cockpit.engine.recorder import Left, Recorder
from cockpit.engine.training import Training


@dataclass(frozen=True)
class End:
    """How a training ended on its own terms."""

    state: str
    """finished, stopped or interrupted."""
    reason: str = ""


def train(job: Training, recorder: Recorder, keeper: Keeper, control: Control) -> End:
    """Train to the planned end, or until a command or a verdict ends it. Raises what the step raises."""
    job.model.train()
    if job.step == 0:
        keeper.logbook.measured(*measure_start(job))
    recorder.restart_clock()
    while job.step < job.total_steps:
        for places in job.rest_of_epoch():
            take_step(job, places, recorder)
            stop = ""
            if job.step % job.steps_per_epoch == 0:
                recorder.flush()
                stop = evaluate(job, keeper)
                recorder.restart_clock()
            order = control.obey(job, recorder, keeper)
            if order or stop:
                recorder.flush()
                return End(order, "on request") if order else End("finished", stop)
    recorder.flush()
    return End("finished")


def take_step(job: Training, places: Tensor, recorder: Recorder) -> None:
    """The five lines of the lecture, with the seams drawn in."""
    at = job.moment()
    lr = job.set_lr(at)
    batch = job.wiring.batch(job.train.take(places), at)
    with job.precision.autocast():
        logits = job.model(batch.x)
    loss = job.criterion(logits.float(), batch.y)
    job.optimizer.zero_grad()
    job.precision.scaler.scale(loss).backward()
    norm = job.gradients(at)
    job.update()
    layers = job.probe.after()
    job.wiring.through("weights", job.model, at)
    job.step += 1
    recorder.step(Left(job.step, lr, loss.detach(), logits.detach(), batch.y, norm, layers))
