"""Images, and what is done to each of them before it is trained on; in our words and in torchvision's."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torchvision.transforms import v2

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """One kind of images and one augmentation."""

    about: str
    side: int
    channels: int
    batch: int
    tricks: tuple[str, ...]
    """Ours."""
    geometry: Callable[[], list[Change]]
    """torchvision's, on bytes (C, H, W), before they become numbers."""
    numbers: Callable[[], list[Change]] = list
    """... on numbers, standardised."""
    mixes: Callable[[], list[Change]] = list
    """... on a whole batch."""
    timm: dict[str, Any] | None = None
    """What timm's create_loader must be told; None where it has no such augmentation."""
    files: bool = False
    """JPEG files rather than bytes in memory."""
    edits: tuple[str, ...] = field(default=())


def pad_crop(side: int, mode: str = "reflect") -> Callable[[], list[Change]]:
    return lambda: [v2.RandomCrop(side, padding=4, padding_mode=mode)]


def pad_crop_flip(side: int, *more: Callable[[], Change]) -> Callable[[], list[Change]]:
    return lambda: [*pad_crop(side)(), v2.RandomHorizontalFlip(), *(make() for make in more)]


def cut_flip(side: int, *more: Callable[[], Change]) -> Callable[[], list[Change]]:
    return lambda: [
        v2.RandomResizedCrop(side, ratio=(3 / 4, 4 / 3), antialias=True),
        v2.RandomHorizontalFlip(),
        *(make() for make in more),
    ]


def erasing() -> list[Change]:
    return [v2.RandomErasing(0.25, value="random")]  # type: ignore[arg-type]


CROP, FLIP, CUT, JITTER = "random_crop=on", "random_flip=on", "random_resized_crop=on", "color_jitter=on"
TIMM = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3), "hflip": 0.5}
CASES = {
    "grey-crop": Case("28x28x1: pad-crop 4", 28, 1, 128, ("random_crop={mode: zeros}",), pad_crop(28, "constant")),
    "colour-flip": Case("32x32x3: pad-crop 4, flip", 32, 3, 128, (CROP, FLIP), pad_crop_flip(32)),
    "colour-erase": Case("... + random erasing", 32, 3, 128, (CROP, FLIP, "random_erasing=on"), pad_crop_flip(32), erasing),
    "colour-mix": Case(
        "... + mixup or cutmix",
        32,
        3,
        128,
        (CROP, FLIP, "mixup_or_cutmix=on"),
        pad_crop_flip(32),
        mixes=lambda: [v2.RandomChoice([v2.MixUp(alpha=0.8, num_classes=10), v2.CutMix(alpha=1.0, num_classes=10)])],
    ),
    "colour-trivial": Case(
        "... + TrivialAugment", 32, 3, 128, (CROP, FLIP, "trivial_augment=on"), pad_crop_flip(32, v2.TrivialAugmentWide)
    ),
    "colour-rand": Case("... + RandAugment", 32, 3, 128, (CROP, FLIP, "rand_augment=on"), pad_crop_flip(32, v2.RandAugment)),
    "cut": Case("96x96x3: resized crop, flip", 96, 3, 64, (CUT, FLIP), cut_flip(96), timm={**TIMM, "color_jitter": 0.0}),
    "cut-jitter": Case(
        "... + colour jitter 0.4",
        96,
        3,
        64,
        (CUT, FLIP, JITTER),
        cut_flip(96, lambda: v2.ColorJitter(0.4, 0.4, 0.4)),
        timm={**TIMM, "color_jitter": 0.4},
    ),
    "cut-erase": Case(
        "... + random erasing, no jitter",
        96,
        3,
        64,
        (CUT, FLIP, "random_erasing=on"),
        cut_flip(96),
        erasing,
        timm={**TIMM, "color_jitter": 0.0, "re_prob": 0.25, "re_mode": "pixel"},
    ),
    "photographs": Case(
        "JPEG files of 500x375 to 224x224x3: resized crop, flip",
        224,
        3,
        32,
        (CUT, FLIP),
        cut_flip(224),
        timm={**TIMM, "color_jitter": 0.0},
        files=True,
    ),
    "photographs-kept": Case(
        "... decoded once, in memory", 224, 3, 32, (CUT, FLIP), cut_flip(224), files=True, edits=("data.keep=device",)
    ),
}


def numbered(mean: tuple[float, ...], std: tuple[float, ...]) -> list[Change]:
    """Bytes to standardised numbers."""
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
