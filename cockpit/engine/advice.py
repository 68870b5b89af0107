"""What looks odd about a recipe before its first step: notes, for `cockpit check` and for the start of every run.

Illnesses are the flags' affair (input scale, labels, first loss, symmetry, outputs, frozen weights); this is about numbers that
may be meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from cockpit.nets.count import Count, count
from cockpit.runs.events import DataFacts

if TYPE_CHECKING:
    from cockpit.engine.training import Training
    from cockpit.families import Optimizer

FAR = 30.0
"""A learning rate so many times its optimizer's default is worth a note."""
FEW = 5
"""An epoch of fewer steps is worth a note."""
FULL = 0.9
"""Share of a device's free memory above which the estimate is worth a note."""
WORDS = {
    "train_val": "validation images also stand in the training split: their score is too good",
    "train_test": "test images also stand in the training split",
    "val_test": "test images also stand in the validation split",
}


def advice(job: Training) -> tuple[str, ...]:
    """One sentence each."""
    return (*_batch(job), *_rate(job), *_memory(job))


def needed(size: Count, job: Training) -> int:
    """Bytes that a step takes: weights, gradients, the optimizer's state and the activations of a batch. An estimate."""
    weights = sum(weight.numel() * weight.element_size() for weight in job.model.parameters())
    images = job.train.pixels.numel() * job.train.pixels.element_size() if job.device.type == "cuda" else 0
    # Gradients are as large as the weights; momentum is once more, and Adam and its kin twice.
    return weights * 4 + size.activations * job.recipe.train.batch_size + images


def shared_images(facts: DataFacts) -> Iterator[str]:
    """A sentence for each pair of splits that have images in common."""
    for key, words in WORDS.items():
        if facts.duplicates.get(key):
            yield f"data: {facts.duplicates[key]:,} {words}"


def _batch(job: Training) -> Iterator[str]:
    steps, size = job.steps_per_epoch, job.recipe.train.batch_size
    if steps < FEW:
        made = f"{size} of {len(job.train):,} images make {steps} steps an epoch"
        yield f"train.batch_size: {made}; smaller batches learn in fewer epochs"


def _rate(job: Training) -> Iterator[str]:
    said, usual = job.recipe.optimizer.lr, usual_rate(job.recipe.optimizer)
    if usual and not 1 / FAR <= said / usual <= FAR:
        times = f"{said / usual:,.3g} times" if said > usual else f"1/{usual / said:,.3g} of"
        yield f"optimizer.lr: {said:g} is {times} the {usual:g} that {job.recipe.optimizer.card.name} usually starts from"


def usual_rate(optimizer: Optimizer) -> float:
    """The default of its card; 0 where it finds its rate by itself."""
    return next((float(knob.default or 0) for knob in optimizer.card.knobs if knob.name == "lr"), 0.0)


def _memory(job: Training) -> Iterator[str]:
    if job.device.type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(job.device)
    wanted = needed(count(job.model, job.task), job)
    if wanted > FULL * free:
        amounts = f"{wanted / 2**30:.1f} GiB and {free / 2**30:.1f} are free"
        yield f"memory: a step takes about {amounts}; a smaller train.batch_size needs less"
