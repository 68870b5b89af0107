"""When the device runs out of memory: a step goes on with what fits where the recipe says so, an evaluation always."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from cockpit.engine.training import Training

T = TypeVar("T")


class TooLargeError(Exception):
    """A step or an evaluation that the device has no room for; the text is one sentence."""


@dataclass
class Room:
    """How many images an evaluation computes at once: fewer once the device had no room, which moves no score.

    Each process of a run has its own: only what is computed at once becomes smaller, not the batches that they share out.
    """

    said: list[str] = field(default_factory=list)
    """Takes what there is to say: once, that it became smaller."""
    most: int = 0
    """0: whatever a batch holds."""

    def logits(self, passes: Callable[[Tensor], Tensor], places: Tensor, least: int = 1, record: object = None) -> Tensor:
        """The logits (B, K) of the images at these places (int64 (B,)), at least so many of them at once.

        `record`: an object that the passes write to; what one left in it that did not fit is taken back. TooLargeError where
        the least does not fit.
        """
        before = {name: copy.copy(value) for name, value in vars(record).items()} if record else {}
        while (found := _attempt(lambda: self._in_parts(passes, places, least))) is None:
            size = max(min(self.most or len(places), len(places)), least)
            if size <= least:
                images = "a single image" if least == 1 else f"{least} images, the fewest that batch norm can do with,"
                raise TooLargeError(
                    f"the device {places.device} ran out of memory in an evaluation with {images} at once; "
                    "a smaller model or smaller images need less"
                )
            if record:
                vars(record).update({name: copy.copy(value) for name, value in before.items()})
            if not self.most:
                self.said.append(
                    f"the device has no room for {size} images at once in an evaluation: from here on, smaller parts"
                )
            self.most = max((size + 1) // 2, least)
        return found

    def _in_parts(self, passes: Callable[[Tensor], Tensor], places: Tensor, least: int) -> Tensor:
        size = max(self.most or len(places), least)
        if len(places) <= size:
            return passes(places)
        parts = list(places.split(size))
        lacks = max(least - len(parts[-1]), 0)
        parts[-1] = places[-(len(parts[-1]) + lacks) :]  # made up with images before it, whose logits are there already
        found = [passes(part) for part in parts]
        return torch.cat([*found[:-1], found[-1][lacks:]])


def fewest(model: nn.Module) -> int:
    """Images that a network needs at once in training mode: batch norm can do nothing with a single one."""
    return 2 if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()) else 1


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
    return _attempt(passes, job.zero_grad)


def _attempt(passes: Callable[[], T], tidy: Callable[[], object] = lambda: None) -> T | None:
    """None where the device had no room; what the passes held is free again then."""
    try:
        return passes()
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
    # Out of the handler: while the error lives, it holds the activations.
    tidy()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return None


def _part(job: Training) -> int:
    return job.part or job.recipe.train.batch_size


def _halve(job: Training) -> bool:
    """False where it cannot become smaller."""
    part = (_part(job) + 1) // 2
    if part < fewest(job.model) or part == _part(job):
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
