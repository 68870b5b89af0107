"""What happens at the end of an epoch, and once before the first step."""

import copy
import math
import time

import torch
from torch import Tensor, nn

from cockpit.engine.keeper import Keeper
from cockpit.engine.probes import layers_of, watch_activity
from cockpit.engine.scoring import all_scores, rank, score
from cockpit.engine.training import Training
from cockpit.runs import events as ev
from cockpit.runs.tables import LAYERS, Rows, blank
from cockpit.travel import Verdict


def evaluate(job: Training, keeper: Keeper) -> str:
    """Score, record, judge, keep. Returns why the run should end here, or nothing."""
    with job.settled():
        verdict = _evaluate(job, keeper)
        keeper.save_last(job, "epoch")
    return verdict.stop


def _evaluate(job: Training, keeper: Keeper) -> Verdict:
    began = time.perf_counter()
    (model, moved), plain = job.wiring.scored(job.model), None
    with watch_activity(model) as activity:
        train = score(model, job.train, job.probe_places(), job.plain_criterion, job.precision)
        val = score(model, job.val, job.val_places(), job.plain_criterion, job.precision)
    if model is not job.model:
        plain = score(job.model, job.val, job.val_places(), job.plain_criterion, job.precision)
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
    )
    keeper.logbook.evaluated(event, _dead_rows(job, activity.dead()))
    if improved:
        keeper.save_best(job, model)
    keeper.save_epoch(job, model)
    return verdict


def measure_start(job: Training) -> tuple[ev.Measured, Rows]:
    """Loss, accuracy and dead units of the fresh network, on a copy: nothing of the training is touched."""
    twin = copy.deepcopy(job.model).eval()
    for module in twin.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()  # its running statistics know nothing yet
    places = next(job.probe_places())
    batch = job.train.clean(places)
    with torch.no_grad(), torch.random.fork_rng(), watch_activity(twin) as activity, job.precision.autocast():
        logits = twin(batch.x).float()
        loss = job.criterion(logits, batch.y)
        expected = job.criterion(torch.zeros_like(logits) + _bias(twin, logits.shape[1]), batch.y)
        accuracy = (logits.argmax(1) == batch.y).float().mean()
    known = math.nan if job.wiring.tagged("no_labels") else float(expected)
    event = ev.Measured(samples=len(places), loss=float(loss), expected_loss=known, accuracy=float(accuracy))
    return event, _dead_rows(job, activity.dead())


def _bias(model: nn.Module, classes: int) -> Tensor:
    """What the head says before it has seen anything: 0, unless its bias was set on purpose."""
    heads = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features == classes]
    bias = heads[-1].bias if heads else None
    return torch.zeros(classes, device=next(model.parameters()).device) if bias is None else bias


def _dead_rows(job: Training, dead: dict[str, float]) -> Rows:
    names = [layer.name for layer, _ in layers_of(job.model)]
    known = [(index, dead[name]) for index, name in enumerate(names) if name in dead]
    rows = blank(len(known), LAYERS)
    rows["step"] = job.step
    for row, (index, share) in zip(rows, known, strict=True):
        row["layer"], row["dead"] = index, share
    return rows
