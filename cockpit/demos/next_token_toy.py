"""Digits as a text of pixel codes: a causal transformer learns to say the next one, then writes digits of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cockpit.cards import knob
from cockpit.catalog import family
from cockpit.travel import Clock

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cockpit.demos import Say
    from cockpit.demos.causal import NextCode

SIDE = 8
BATCH = 32
DIM, HEADS = 64, 4
LR, WARM = 3e-3, 0.05
"""The highest rate, and the share of the steps over which it rises; then half a cosine to 0."""
HELD = 0.1
"""Share of the training digits that are kept for validation; the test set stays sealed."""


@dataclass(frozen=True)
class Settings:
    """A transformer predicts the next pixel of 8x8 digits from those before it, then draws digits of its own.

    Pixels are codes in the order of reading, after a begin token; a causal mask hides what comes later. What is drawn is
    sampled one code at a time, each fed back. It learns how digits look without being told which is which.
    """

    levels: int = knob(8, low=2, high=32, help="codes that grey is parted into; the digits have 17 greys")
    depth: int = knob(2, low=1, high=12, help="blocks of the transformer")
    steps: int = knob(500, low=1, high=100_000, help="steps of the training, of 32 digits each")
    temperature: float = knob(1.0, low=0.1, high=2, help="below 1 likely codes are drawn more often, above 1 rare ones")
    count: int = knob(8, low=1, high=256, help="digits to draw")
    seed: int = knob(0, low=0, high=1_000_000, help="seed of the network, of its batches and of what it draws")


@dataclass(frozen=True)
class Baselines:
    """What can be said of the validation digits without a network. Bits are a mean over the pixels."""

    unigram: float
    """Bits, by how often each code is found anywhere, each counted once more than it was seen."""
    by_place: float
    """Bits, by how often each code is found at this place, counted in the same way."""
    majority: float
    """Share of the pixels that have the most frequent code."""


@dataclass(frozen=True, eq=False)
class Result:
    """How well the next code is known, and digits that were drawn."""

    levels: int
    bits: float
    """Of a pixel of the validation digits."""
    accuracy: float
    """Share of their pixels whose likeliest code is right."""
    baselines: Baselines
    curve: NDArray[np.float64]
    """(steps,) bits of a pixel of each batch."""
    drawn: NDArray[np.int64]
    """(count, SIDE, SIDE) codes."""

    def plain(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "levels": self.levels,
            "bits_per_pixel": self.bits,
            "accuracy": self.accuracy,
            "unigram_bits": self.baselines.unigram,
            "by_place_bits": self.baselines.by_place,
            "majority_accuracy": self.baselines.majority,
            "curve": self.curve.round(4).tolist(),
            "drawn": self.drawn.tolist(),
        }


def run(settings: Settings, say: Say) -> Result:
    """Train, measure on the validation digits, draw."""
    import torch

    from cockpit.demos.causal import sample

    train, val = codes_of(settings.levels)
    net, curve = trained(settings, train, say)
    bits, accuracy = measured(net, val)
    stream = torch.Generator().manual_seed(settings.seed)
    drawn = sample(net, settings.count, settings.temperature, stream).view(-1, SIDE, SIDE).numpy()
    return Result(settings.levels, bits, accuracy, baselines(train, val, settings.levels), curve, drawn)


def codes_of(levels: int) -> tuple[Tensor, Tensor]:
    """int64 (N, 64): the training digits and those held for validation, always the same; greys 0 to 16 as codes."""
    import torch

    from cockpit.datasets import digits
    from cockpit.datasets.strata import keys

    images = digits.read().train
    order = np.argsort(keys(len(images), seed=0))
    codes = torch.from_numpy(images.pixels.reshape(len(images), -1).astype(np.int64)[order] * levels // 17)
    held = round(HELD * len(codes))
    return codes[held:], codes[:held]


def trained(settings: Settings, train: Tensor, say: Say) -> tuple[NextCode, NDArray[np.float64]]:
    """A network after its training, and the bits of a pixel of each batch."""
    import torch
    from torch.nn import functional

    from cockpit.demos.causal import NextCode

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        net = NextCode(settings.levels, train.shape[1], dim=DIM, depth=settings.depth, heads=HEADS)
    optimizer = family("optimizer")["adamw"].cls(lr=LR, weight_decay=0.05).build([{"params": list(net.parameters())}])
    schedule = family("schedule")["cosine"].cls(warmup_epochs=WARM)
    losses = []
    for step, places in enumerate(_batches(len(train), settings)):
        rate = LR * schedule.factor(Clock(step, settings.steps, settings.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        codes = train[places]
        loss = functional.cross_entropy(net(codes).flatten(0, 1), codes.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item() / math.log(2))
        if (step + 1) % 100 == 0:
            say(f"step {step + 1:,} of {settings.steps:,}: {np.mean(losses[-100:]):.3f} bits for a pixel")
    return net, np.array(losses)


def _batches(count: int, settings: Settings) -> Iterator[Tensor]:
    """Places of each step's digits: all in a random order, then all again."""
    import torch

    stream, left = torch.Generator().manual_seed(settings.seed), torch.empty(0, dtype=torch.int64)
    for _ in range(settings.steps):
        if len(left) < BATCH:
            left = torch.cat([left, torch.randperm(count, generator=stream)])
        yield left[:BATCH]
        left = left[BATCH:]


def measured(net: NextCode, codes: Tensor) -> tuple[float, float]:
    """Bits of a pixel, and the share of the pixels whose likeliest code is right."""
    import torch
    from torch.nn import functional

    net.eval()
    with torch.no_grad():
        logits = net(codes)
    bits = functional.cross_entropy(logits.flatten(0, 1), codes.flatten()).item() / math.log(2)
    return bits, float((logits.argmax(dim=2) == codes).float().mean())


def baselines(train: Tensor, val: Tensor, levels: int) -> Baselines:
    """What counting codes in the training digits (N, 64) tells of the validation digits."""
    import torch
    from torch.nn import functional

    seen = functional.one_hot(train, levels).sum(dim=0).double()
    here, anywhere = seen + 1, seen.sum(dim=0) + 1
    return Baselines(
        unigram=_bits(anywhere.expand_as(here), val),
        by_place=_bits(here, val),
        majority=float((val == torch.argmax(anywhere)).float().mean()),
    )


def _bits(counts: torch.Tensor, codes: Tensor) -> float:
    """Mean bits of codes (N, places) under shares that stand to each other as the counts (places, levels)."""
    bits = -(counts / counts.sum(dim=1, keepdim=True)).log2()
    return float(bits.expand(len(codes), -1, -1).gather(2, codes[:, :, None]).mean())
