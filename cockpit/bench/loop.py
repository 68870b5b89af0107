"""The loop: a plain one, ours, ours with its record, in turn; what limits it, and what was tried to make it faster."""

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cockpit.bench.attempts import LARGER, attempts
from cockpit.bench.cases import CASES, Case
from cockpit.bench.findings import Finding, best_change
from cockpit.bench.loops import built, epoch, ours, plain, record, seconds
from cockpit.bench.rounds import in_turn, shares
from cockpit.engine.training import Training

BUSY = 0.4
"""A share of the device's speed in matrix products from which a network leaves little to gain."""
QUICK, SLOW = ("mlp-64", "cnn-32", "resnet-64"), 1e12
"""What is trained where the device is no faster than so many operations a second ..."""
LARGE = {
    "mlp-64": CASES["mlp-64"],
    "resnet-64": replace(CASES["resnet-64"], name="ResNet-20, 32x32, batch 512", batch=512),
    "vit-64": replace(
        CASES["vit-64"],
        name="ViT 384x12, 32x32, batch 256",
        batch=256,
        model="{name: vit, patch: 4, dim: 384, depth: 12, heads: 6}",
    ),
}
"""... and where it is."""


def cases(peak: float) -> list[Case]:
    """Those that fit a device of this speed in fp32, operations a second."""
    return [CASES[name] for name in QUICK] if peak < SLOW else [*LARGE.values()]


def loop(case: Case, peaks: dict[str, float], folder: Path, *, length: float = 0.5, rounds: int = 3) -> Finding:
    """One network; `length`: seconds of a round, `folder`: for a record that is not kept."""
    job, loaded = built(case)
    device = job.device
    kept, _ = built(case)
    with closing(record(kept, loaded, folder)) as log:
        lanes = {"plain": plain(built(case)[0]), "ours": ours(job), "record": ours(kept, log)}
        timers = {name: partial(seconds, lane, device=device) for name, lane in lanes.items()}
        in_turn(timers, 3, 1)
        quick = in_turn(timers, 3, 1)["plain"][0] / 3
        steps = max(3, round(length / quick))
        taken = in_turn(timers, steps, rounds)
    found = shares(taken, "plain")
    step = min(taken["plain"]) / steps
    rate, share = 1 / step, operations(job) / step / peaks["fp32"]
    tried = attempts(case, step, length)
    larger = tried.get(f"train.batch_size={LARGER * case.batch}")
    growth = LARGER / larger if larger else LARGER
    said = f"{rate:,.4g} steps/s plain, ours {found['ours'].median:.2f} of it, {found['record'].median:.2f} with its record"
    figures = {"plain_steps_s": rate, "ours": found["ours"].median, "record": found["record"].median, "of_peak": share}
    figures |= {"growth": growth, **tried}
    return Finding("loop", case.name, said, _limit(share, growth), best_change(tried), figures)


def _limit(share: float, growth: float) -> str:
    if growth < LARGER / 2:  # what each step costs, however many images it has, is half of it or more
        return f"python overhead: {LARGER} times the batch takes {growth:.2g} times as long"
    where = "compute" if share >= BUSY else "memory and small kernels"
    return f"{where}: {share:.0%} of the speed of a matrix product"


def operations(job: Training) -> float:
    """Floating-point operations of a step: of its products and convolutions, forward and backward."""
    x, y = next(epoch(job.train, job.recipe.train.batch_size))
    with FlopCounterMode(display=False) as counted:
        functional.cross_entropy(job.model(x), y).backward()  # type: ignore[no-untyped-call]
    job.model.zero_grad()
    return float(counted.get_total_flops())
