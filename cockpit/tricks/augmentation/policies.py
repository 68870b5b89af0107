"""Policies of the libraries: chains of random operations, image by image on the CPU.

They draw from the global generators of Python, NumPy and torch, once for whatever they are handed. So each image is handed
over alone, with generators that are seeded for it from the trick's own stream and put back afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Parts
from cockpit.tricks._sent import sent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Change = Callable[[Any], Any]
"""uint8 (C, H, W) on the CPU -> the same."""
SLOW = "Runs image by image on the CPU: a small network on a fast device waits for it."
ONE = "one policy is enough: stacked, they leave little of the image"


@contextmanager
def untouched_generators() -> Iterator[None]:
    """Whatever is drawn or seeded inside, the global generators stand as before: Python's, NumPy's, torch's on the CPU."""
    import numpy as np
    import torch

    python, numpy, ours = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(ours)


def seed_torch(seed: int) -> None:
    """What torchvision draws from."""
    import torch

    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every device


def seed_all(seed: int) -> None:
    """Whatever a library may draw from."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    seed_torch(seed)


def one_by_one(x: Tensor, change: Change, stream: torch.Generator, seed: Callable[[int], None] = seed_all) -> Tensor:
    """x (B, C, H, W) in [0, 1], each image changed alone under a seed of its own, in 256 levels."""
    import torch

    seeds = torch.randint(2**31, (len(x),), generator=stream).tolist()
    images = (x * 255).round().clamp(0, 255).byte().cpu()
    changed = []
    with untouched_generators():
        for image, number in zip(images, seeds, strict=True):
            seed(number)
            changed.append(change(image))
    return sent(torch.stack(changed), x.device).to(x.dtype).div_(255)


class Policy:
    """A policy of a library, ready to change images. ValueError where they have no channels that the libraries know."""

    def __init__(self, name: str, change: Change, channels: int, seed: Callable[[int], None] = seed_torch) -> None:
        if channels not in (1, 3):
            raise ValueError(
                f"{name} takes images of 1 or 3 channels, and these have {channels}; color_jitter takes any number"
            )
        self._name = name
        self._change = change
        self._seed = seed

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) in [0, 1], changed image by image."""
        return batch._replace(x=one_by_one(batch.x, self._change, at.stream(self._name), self._seed))


@card(
    "auto_augment",
    family="augmentation",
    seams=("batch",),
    stage="policy",
    live=True,
    when="Photographs like those the policy was learned on.",
    beware=f"The policies were learned on labelled images of these sets: say so when comparing. {SLOW}",
    conflicts={"rand_augment": ONE, "trivial_augment": ONE},
    source="Cubuk et al. 2019, arXiv 1805.09501",
)
class AutoAugment(Toggle):
    """Apply a random member of a learned list of pairs of operations to each image."""

    policy: Literal["imagenet", "cifar10", "svhn"] = knob("cifar10", help="the data set that the list was learned on")

    def plug(self, parts: Parts) -> Policy:
        """torchvision's."""
        from torchvision.transforms import v2

        return Policy("auto_augment", v2.AutoAugment(v2.AutoAugmentPolicy(self.policy)), parts.task.channels)


def timm_rand_augment(settings: RandAugment, parts: Parts) -> Change:
    """timm's form, on PIL images; one channel is shown as three equal ones. Borders fill with the mean of the split.

    timm asks Pillow to posterize to 0 bits at the end of its scale, which Pillow no longer does; one bit is kept there.
    """
    import numpy as np
    import torch
    from PIL import Image
    from timm.data.auto_augment import posterize, rand_augment_transform

    code = f"rand-m{settings.magnitude:.0f}-n{settings.n}-mstd{settings.mstd:.4f}-inc{settings.inc:d}"
    mean = (parts.train.mean.flatten() * 255).round().int().tolist()
    transform = rand_augment_transform(code, {"img_mean": tuple(mean * 3)[:3]})
    for operation in transform.ops:
        if operation.aug_fn is posterize:
            operation.aug_fn = lambda seen, bits, **rest: posterize(seen, max(1, bits), **rest)

    def change(image: Tensor) -> Tensor:
        shown = image.expand(3, -1, -1).permute(1, 2, 0).numpy()
        seen = np.array(transform(Image.fromarray(np.ascontiguousarray(shown))))
        return torch.from_numpy(seen).permute(2, 0, 1)[: len(image)]

    return change


@card(
    "rand_augment",
    family="augmentation",
    seams=("batch",),
    stage="policy",
    live=True,
    when="Long trainings of large networks on photographs.",
    beware=f"The two scales are different things: '9/0.5' in a recipe table is timm's magnitude and mstd. {SLOW}",
    conflicts={"auto_augment": ONE, "trivial_augment": ONE},
    source="Cubuk et al. 2020, arXiv 1909.13719; timm's form: Wightman et al. 2021, arXiv 2110.00476",
)
class RandAugment(Toggle):
    """Apply n random operations of one strength to each image.

    torchvision counts the magnitude from 0 to 30 and always applies n operations. timm counts it from 0 to 10, varies it by
    Gaussian noise, and leaves each operation out every other time.
    """

    scale: Literal["torchvision", "timm"] = knob("torchvision", help="whose operations, and whose count of the magnitude")
    n: int = knob(2, low=1, high=6, help="operations for each image")
    magnitude: float = knob(9.0, low=0, high=30, help="strength, a whole number: up to 30 for torchvision, up to 10 for timm")
    mstd: float = knob(0.5, low=0, high=2, help="standard deviation of the strength; timm only")
    inc: bool = knob(True, help="only operations that grow stronger with the magnitude; timm only")

    def __post_init__(self) -> None:
        most = 30 if self.scale == "torchvision" else 10
        if self.magnitude > most or self.magnitude != round(self.magnitude):
            nearest = min(round(self.magnitude), most)
            raise ValueError(
                f"rand_augment: magnitude is a whole number from 0 to {most} on {self.scale}'s scale, "
                f"not {self.magnitude:g}; the nearest is {nearest}"
            )

    def plug(self, parts: Parts) -> Policy:
        """The library's."""
        if self.scale == "timm":
            return Policy("rand_augment", timm_rand_augment(self, parts), parts.task.channels, seed_all)
        from torchvision.transforms import v2

        change = v2.RandAugment(num_ops=self.n, magnitude=round(self.magnitude))
        return Policy("rand_augment", change, parts.task.channels)


@card(
    "trivial_augment",
    family="augmentation",
    seams=("batch",),
    stage="policy",
    live=True,
    when="Photographs, and no time to tune.",
    beware=f"Turns by up to 135 degrees. {SLOW}",
    conflicts={"auto_augment": ONE, "rand_augment": ONE},
    cautions={"no_mirror": "it turns by up to 135 degrees, and a digit or letter may become another"},
    source="Müller & Hutter 2021, arXiv 2103.10158",
)
class TrivialAugment(Toggle):
    """Apply one random operation at a random strength to each image."""

    bins: int = knob(31, low=2, high=100, help="how many strengths there are")

    def plug(self, parts: Parts) -> Policy:
        """torchvision's, with the wide ranges."""
        from torchvision.transforms import v2

        return Policy("trivial_augment", v2.TrivialAugmentWide(num_magnitude_bins=self.bins), parts.task.channels)


@card(
    "aug_mix",
    family="augmentation",
    seams=("batch",),
    stage="policy",
    live=True,
    when="The images of use will be noisier or blurred in ways that the training set does not show.",
    beware=f"Without the consistency loss of the paper. {SLOW}",
    source="Hendrycks et al. 2020, arXiv 1912.02781",
)
class AugMix(Toggle):
    """Blend each image with several chains of random operations on it."""

    severity: int = knob(3, low=1, high=10, help="strength of the operations")
    width: int = knob(3, low=1, high=10, help="chains that are blended")

    def plug(self, parts: Parts) -> Policy:
        """torchvision's."""
        from torchvision.transforms import v2

        return Policy("aug_mix", v2.AugMix(severity=self.severity, mixture_width=self.width), parts.task.channels)
