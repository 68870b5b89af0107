"""What a test of one trick needs around it: parts to plug into, moments to be called at, a small training split."""

from functools import partial

import torch
from torch import Tensor, nn

from cockpit.engine.feed import Feed
from cockpit.engine.randomness import stream
from cockpit.travel import Batch, Clock, Epoch, Moment, Parts, Task

DIGITS = Task(1, 8, 8, 10, mirrors=False)
COLOUR = Task(3, 16, 16, 10)


def images(task: Task = DIGITS, count: int = 64, seed: int = 0) -> Feed:
    """A training split of noise; the labels go round the classes."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, task.channels, task.height, task.width), generator=draw, dtype=torch.uint8)
    flat = pixels.double().mean(dim=(0, 2, 3)) / 255, pixels.double().std(dim=(0, 2, 3)) / 255
    mean, std = (value.float().view(1, -1, 1, 1) for value in flat)
    return Feed(pixels, torch.arange(count) % task.classes, 1 / 255, mean, std)


def parts(model: nn.Module, task: Task = DIGITS, train: Feed | None = None, steps: int = 100, per_epoch: int = 10) -> Parts:
    """What a trick is plugged into."""
    return Parts(model, task, train or images(task), steps, per_epoch, partial(stream, 0, step=0))


def moment(
    step: int = 0, task: Task = DIGITS, total: int = 100, per_epoch: int = 10, batch_size: int = 32, seed: int = 0
) -> Moment:
    """A step of a run."""
    return Moment(Clock(step, total, per_epoch), task, partial(stream, seed, step=step), batch_size)


def epoch(labels: Tensor, number: int = 0, batch_size: int = 32, seed: int = 0) -> Epoch:
    """An epoch whose batches are drawn."""
    return Epoch(number, labels, batch_size, partial(stream, seed, step=number))


def batch(task: Task = DIGITS, count: int = 32, train: Feed | None = None) -> Batch:
    """The first images of a training split, in [0, 1]."""
    return (train or images(task, count)).take(torch.arange(count))
