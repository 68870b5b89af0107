"""When the device runs out of memory in a step: what would fit, and going on with that where the recipe says so."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    from cockpit.engine.training import Training

T = TypeVar("T")


class TooLargeError(Exception):
    """A step that the device has no room for; the text is one sentence."""


def with_room(job: Training, images: int, passes: Callable[[], T]) -> T:
    """The passes of a step of so many images; in halves of halves where there is no room, with `train.oom: halve`.

    Only what is computed at once becomes smaller: the gradient is that of the whole batch, and batch norm sees the parts.
    Raises TooLargeError.
    """
    while (found := _tried(job, passes)) is None:
        before = _part(job)
        if job.recipe.train.oom == "fail" or job.team.several or not _halve(job):
            raise TooLargeError(_sentence(job, images, passes))
        job.said.append(f"the device has no room for {before} images at once: from here on, parts of {job.part} make the batch")
    return found


def _tried(job: Training, passes: Callable[[], T]) -> T | None:
    try:
        return passes()
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
    # Out of the handler: while the error lives, it holds the activations.
    job.optimizer.zero_grad()
    gc.collect()
    if job.device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _part(job: Training) -> int:
    return job.part or job.recipe.train.batch_size


def _halve(job: Training) -> bool:
    """False where it cannot become smaller: batch norm can do nothing with a single image."""
    least = 2 if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in job.model.modules()) else 1
    part = (_part(job) + 1) // 2
    if part < least or part == _part(job):
        return False
    job.part = part
    return True


def _sentence(job: Training, images: int, passes: Callable[[], object]) -> str:
    """What did not fit, and what does: tried, not reckoned."""
    given = job.part
    said = f"the device {job.device} ran out of memory at step {job.step + 1:,} with {min(_part(job), images)} images at once"
    fits = 0
    while not job.team.several and not fits and _halve(job):
        fits = _part(job) if _tried(job, passes) is not None else 0
    job.part = given
    if not fits:
        fewer = "" if job.team.several else ", and fewer do not fit either"
        return f"{said}{fewer}; a smaller model or smaller images need less"
    return f"{said}; {fits} fit: train.batch_size={fits}, or train.oom=halve, which computes the same batch in such parts"
