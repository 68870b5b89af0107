"""What might make a network train faster on this device: each is tried, none is guessed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from cockpit.bench.cases import Case
from cockpit.bench.loops import built, plain, seconds
from cockpit.engine.device import pick_device

LARGER = 4
"""How much larger a batch is tried."""
ALONE = "OMP_NUM_THREADS=1"
Attempt = Callable[[], Iterator[None]]


def attempts(case: Case, step: float, length: float) -> dict[str, float]:
    """Change -> how many times as many images a second as in plain steps of `step` seconds; each takes about `length` s.

    What the device has no room for, or cannot do, is left out.
    """
    found = {}
    for change, attempt, images in _attempts(case):
        try:
            with _threads(1 if change == ALONE else torch.get_num_threads()):
                taken = _pace(attempt(), pick_device("auto"), length)
        except (RuntimeError, NotImplementedError):  # torch's own out-of-memory error is one, too
            continue
        found[change] = images / case.batch * step / taken
    return found


def _attempts(case: Case) -> Iterator[tuple[str, Attempt, int]]:
    """(change, its loop, images of a step)."""
    job, _ = built(case)
    if LARGER * case.batch <= len(job.train):
        yield f"train.batch_size={LARGER * case.batch}", lambda: plain(job, size=LARGER * case.batch), LARGER * case.batch
    if job.precision.name == "fp32":
        bf16 = replace(job.precision, name="bf16")
        yield "train.precision=bf16", lambda: plain(job, precision=bf16), case.batch
    if any(weight.ndim == 4 for weight in job.model.parameters()):
        yield "train.channels_last=on", lambda: plain(built(case, "train.channels_last=on")[0]), case.batch
    if job.device.type == "cpu" and torch.get_num_threads() > 1:
        yield ALONE, lambda: plain(job), case.batch


def _pace(lane: Iterator[None], device: torch.device, length: float) -> float:
    """Seconds of a step: the best of three times, after the first ones."""
    seconds(lane, 2, device)
    steps = max(2, round(length / 3 / seconds(lane, 1, device)))
    return min(seconds(lane, steps, device) for _ in range(3)) / steps


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
