"""The loops that are set against each other: a plain one, as anybody would write it, and ours. Each yields after each step."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional

from cockpit.bench.cases import Case
from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble, started
from cockpit.engine.data.load import Loaded
from cockpit.engine.device import Precision
from cockpit.engine.feed import Feed
from cockpit.engine.logbook import Logbook
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.engine.training import Training
from cockpit.launch import new_run
from cockpit.recipe import to_tree

NEVER = 1_000_000_000
"""Steps between two measurements of a run that takes none."""


def built(case: Case, *edits: str) -> tuple[Training, Loaded]:
    """The network, data and optimizer of a case. Raises what `assemble` raises."""
    return assemble(case.recipe(*edits), Places(root=data_root()))


def epoch(feed: Feed, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Standardised images and labels of the whole batches of an epoch, from bytes that lie on the device."""
    pixels, labels, scale, mean, std = feed.pixels, feed.labels, feed.scale, feed.mean, feed.std
    order = torch.randperm(len(labels)).to(labels.device)
    batches: tuple[Tensor, ...] = torch.split(order[: len(order) - len(order) % size], size)
    for ids in batches:
        yield (pixels[ids].float().mul_(scale) - mean) / std, labels[ids]


def plain(
    job: Training, *, fused: bool = False, lean: bool = False, size: int = 0, precision: Precision | None = None
) -> Iterator[None]:
    """A plain PyTorch loop on a training's network and bytes, that sums loss and accuracy, unless it is to be lean.

    Endless. Nothing in it waits for the device; images of a step and precision are the training's where none are given.
    """
    size, precision = size or job.recipe.train.batch_size, precision or job.precision
    model, options = job.model.train(), job.recipe.optimizer.options()
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=options["lr"],
        momentum=options["momentum"],
        weight_decay=options["weight_decay"],
        fused=fused or None,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, job.total_steps)
    while True:
        total, right = torch.zeros((), device=job.device), torch.zeros((), device=job.device, dtype=torch.int64)
        for x, y in epoch(job.train, size):
            with precision.autocast():
                logits = model(x)
                loss = functional.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if not lean:
                total += loss.detach()
                right += (logits.argmax(1) == y).sum()
            yield


def record(job: Training, loaded: Loaded, folder: Path) -> Logbook:
    """The record of a new run in a folder, with the flags of its recipe."""
    log = Logbook(new_run(job.recipe, folder, "bench", allow_code=False, command=[]))
    log.history.recipe = to_tree(job.recipe)
    log.write(started(job, loaded))
    log.watch_with(job.recipe.flags.values())
    return log


def ours(job: Training, log: Logbook | None = None) -> Iterator[None]:
    """Our loop; without a record, it neither measures nor keeps anything past its first steps. Endless."""
    job.model.train()
    if log is None:
        job.probe.every = NEVER
    recorder = Recorder(log.deliver if log else lambda steps, layers: None)
    recorder.restart_clock()
    while True:
        for places in job.rest_of_epoch():
            take_step(job, places, recorder)
            yield


def seconds(lane: Iterator[None], steps: int, device: torch.device) -> float:
    """What so many steps of a loop take, the device's work included."""
    settle(device)
    began = perf_counter()
    deque(islice(lane, steps), maxlen=0)
    settle(device)
    return perf_counter() - began


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
