"""What happens at the end of an epoch, and once before the first step."""

import copy
import math
import time
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from cockpit.engine.distributed import share_buffers
from cockpit.engine.distributed_scores import pool_activity
from cockpit.engine.facts import inputs_of, outputs_of, recalls_of
from cockpit.engine.feed import Feed
from cockpit.engine.keeper import Keeper
from cockpit.engine.memory import fewest
from cockpit.engine.randomness import apart
from cockpit.engine.scoring import Scores, all_scores, rank, score
from cockpit.engine.training import Training
from cockpit.engine.units import Activity, unit_rows, watch_activity
from cockpit.nets.statistics import batch_norms, frozen_statistics
from cockpit.runs import events as ev
from cockpit.runs.tables import Rows
from cockpit.travel import Verdict

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def evaluate(job: Training, keeper: Keeper) -> str:
    """Score, record, judge, keep. Returns why the run should end here, or nothing."""
    share_buffers(job)
    with job.settled():
        verdict = _evaluate(job, keeper)
        keeper.save_last(job, "epoch")
    return verdict.stop


def _evaluate(job: Training, keeper: Keeper) -> Verdict:
    began = time.perf_counter()
    (model, moved), plain = job.wiring.scored(job.model), None
    with watch_activity(model) as activity:
        train = _scored(job, model, job.train, job.probe_places(), record=activity)
        val = _scored(job, model, job.val, job.val_places(), record=activity)
    pool_activity(activity)
    noisy = _in_training_mode(job, model)
    if model is not job.model:
        plain = _scored(job, job.model, job.val, job.val_places())
    scores = all_scores(job.recipe, val)
    ranked = rank(job.recipe, scores, val)
    improved = val.loss == val.loss and (job.best is None or ranked > job.best)
    job.best = ranked if improved else job.best
    job.evaluations += 1
    verdict: Verdict = job.wiring.through("verdict", Verdict(improved, val.loss, job.evaluations))
    job.keep_best = verdict.keep_best
    event = ev.Evaluated(
        step=job.step,
        epoch=round(job.epoch),
        train_loss=train.loss,
        train_accuracy=train.accuracy,
        val_loss=val.loss,
        val_accuracy=val.accuracy,
        probe_size=train.images,
        val_size=val.images,
        best=improved,
        weights="+".join(moved) or "raw",
        seconds=time.perf_counter() - began,
        largest_class_share=val.largest_class_share,
        scores=scores,
        score=job.recipe.score.card.name,
        plain_accuracy=plain.accuracy if plain else None,
        plain_loss=plain.loss if plain else None,
        recalls=recalls_of(val.logits.argmax(1), val.labels, job.task.classes),
        outputs=outputs_of(train.logits),
        train_mode_loss=noisy.loss if noisy else math.nan,
        train_mode_accuracy=noisy.accuracy if noisy else math.nan,
    )
    keeper.logbook.evaluated(event, unit_rows(job.model, activity, job.step))
    if improved:
        keeper.save_best(job, model)
    keeper.save_epoch(job, model)
    return verdict


def _in_training_mode(job: Training, model: nn.Module) -> Scores | None:
    """The clean probe once more as training sees it, where the mode makes a difference. Nothing is moved by it."""
    if not batch_norms(model) and not any(isinstance(part, DROPOUTS) and part.p > 0 for part in model.modules()):
        return None
    with frozen_statistics(model), apart(job.device):
        enough = (places for places in job.probe_places() if len(places) >= fewest(model))
        return _scored(job, model, job.train, enough, mode="train")


def _scored(
    job: Training,
    model: nn.Module,
    feed: Feed,
    ids: Iterable[Tensor],
    mode: Literal["eval", "train"] = "eval",
    record: Activity | None = None,
) -> Scores:
    return score(model, feed, ids, job.plain_criterion, job.precision, mode, job.room, record)


def measure_start(job: Training) -> tuple[ev.Measured, Rows]:
    """Loss, accuracy and dead units of the fresh network, on a copy: nothing of the training is touched."""
    twin = copy.deepcopy(job.model).eval()
    for module in twin.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()  # its running statistics know nothing yet
    places = next(job.probe_places())
    batch = job.train.clean(places)
    with torch.no_grad(), apart(job.device), watch_activity(twin) as activity, job.precision.autocast():
        logits = job.room.logits(lambda part: twin(job.train.clean(part).x).float(), places, fewest(twin), activity)
        loss = job.criterion(logits, batch.y)
        expected = job.criterion(torch.zeros_like(logits) + _bias(twin, logits.shape[1]), batch.y)
        accuracy = (logits.argmax(1) == batch.y).float().mean()
    known = math.nan if job.wiring.tagged("no_labels") else float(expected)
    val = job.val.clean(next(job.val_places())[: len(places)])
    event = ev.Measured(
        samples=len(places),
        loss=float(loss),
        expected_loss=known,
        accuracy=float(accuracy),
        inputs=inputs_of(batch.x),
        val_inputs=inputs_of(val.x),
        outputs=outputs_of(logits),
    )
    return event, unit_rows(twin, activity, job.step)


def _bias(model: nn.Module, classes: int) -> Tensor:
    """What the head says before it has seen anything: 0, unless its bias was set on purpose."""
    heads = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features == classes]
    bias = heads[-1].bias if heads else None
    return torch.zeros(classes, device=next(model.parameters()).device) if bias is None else bias
