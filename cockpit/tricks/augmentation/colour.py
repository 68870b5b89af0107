"""Changes of colour, on pixels in [0, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Parts, TrainImages
from cockpit.tricks._sent import chosen, sent

if TYPE_CHECKING:
    from torch import Tensor

FIT_CHUNK = 1024
"""Images whose colours are read at once."""
BESIDE = "a policy changes colours too; timm leaves color_jitter out beside one, here both run"


def grey(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W): the luma of ITU-R BT.601 for three channels, the mean for any other number."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    return 0.2989 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]


def blend(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """factor * x + (1 - factor) * other in [0, 1]; factor (B, 1, 1, 1) may be over 1."""
    import torch

    return torch.lerp(other, x, factor).clamp_(0, 1)


def shift_hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of x (B, 3, H, W) by `shift` (B, 1, 1, 1) in parts of the whole circle; value and chroma stay.

    In sixths of the circle; the way back is the closed form of HSV: channel = value - chroma * min(k, 4 - k) in [0, 1].
    """
    import torch

    red, green, blue = x[:, :1], x[:, 1:2], x[:, 2:]
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    unit = chroma + (chroma == 0)
    hue = chosen(value == green, (blue - red) / unit + 2, (red - green) / unit + 4)
    hue = chosen(value == red, (green - blue) / unit, hue).add_(6 * shift)
    k = (hue + torch.arange(5, 0, -2, device=x.device).view(1, 3, 1, 1)).remainder_(6)
    return value - torch.minimum(k, 4 - k).clamp_(0, 1).mul_(chroma)


@card(
    "color_jitter",
    family="augmentation",
    seams=("batch",),
    stage="colour",
    live=True,
    when="Photographs taken in different light.",
    beware="With one channel, saturation and hue do nothing. A strong hue turns the colour that tells classes apart.",
    cautions={"auto_augment": BESIDE, "rand_augment": BESIDE, "trivial_augment": BESIDE},
    slide="The recipe table ticks colour jitter for PyTorch and FixRes; torchvision's own training script has none, FixRes's "
    "has 0.3 for brightness, contrast and saturation.",
    source="Krizhevsky et al. 2012; Howard 2013, arXiv 1312.5402",
)
class ColorJitter(Toggle):
    """Change brightness, contrast, saturation and hue of each image by random amounts, in this order."""

    brightness: float = knob(0.4, low=0, high=1, help="largest change: 0.4 is from 0.6 to 1.4 times as bright")
    contrast: float = knob(0.4, low=0, high=1, help="the same about the image's mean grey")
    saturation: float = knob(0.4, low=0, high=1, help="the same about each pixel's grey; needs colour")
    hue: float = knob(0.0, low=0, high=0.5, help="largest turn of the hue, as a part of the whole circle; needs colour")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) in [0, 1], changed image by image."""
        import torch

        draws = 2 * torch.rand(4, len(batch.x), 1, 1, 1, generator=at.stream("color_jitter")) - 1
        brightness, contrast, saturation, hue = sent(draws, batch.x.device)
        x = (batch.x * (1 + self.brightness * brightness)).clamp_(0, 1)
        x = blend(x, grey(x).mean((2, 3), keepdim=True), 1 + self.contrast * contrast)
        if x.shape[1] == 3:
            x = blend(x, grey(x), 1 + self.saturation * saturation)
            x = shift_hue(x, self.hue * hue) if self.hue else x
        return batch._replace(x=x)


def directions_of(train: TrainImages) -> Tensor:
    """The principal directions of the training pixels as columns (C, C), each as long as the standard deviation along it."""
    import torch

    labels, mean = train.labels, train.mean.flatten()
    count, total = 0, torch.zeros(len(mean), dtype=torch.float64)
    squares = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for places in torch.arange(len(train), device=labels.device).split(FIT_CHUNK):
        pixels = train.take(places).x.transpose(0, 1).flatten(1) - mean[:, None]
        count += pixels.shape[1]
        total += pixels.sum(1).double().cpu()
        squares += (pixels @ pixels.T).double().cpu()
    values, vectors = torch.linalg.eigh(squares / count - torch.outer(total, total) / count**2)
    found: Tensor = (vectors * values.clamp(min=0).sqrt()).float()
    return found.to(labels.device)


class Lighting:
    """The directions, found once from the training split."""

    def __init__(self, std: float, directions: Tensor) -> None:
        self._std = std
        self._directions = directions

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W), each image shifted by one colour; values may leave [0, 1]."""
        import torch

        amounts = self._std * torch.randn(len(batch.x), batch.x.shape[1], generator=at.stream("pca_lighting"))
        colour = sent(amounts, batch.x.device) @ self._directions.T
        return batch._replace(x=batch.x + colour[:, :, None, None])

    def state_dict(self) -> dict[str, Tensor]:
        """The directions."""
        return {"directions": self._directions}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put saved directions back."""
        self._directions = state["directions"].to(self._directions)


@card(
    "pca_lighting",
    family="augmentation",
    seams=("batch",),
    stage="colour",
    live=True,
    when="Photographs: the colour of the light changes, the object does not.",
    beware="Needs three channels. The values that are known for ImageNet are not used: the directions are those of your data.",
    source="Krizhevsky et al. 2012",
)
class PcaLighting(Toggle):
    """Add a random mix of the principal colour directions to each image."""

    std: float = knob(0.1, low=0, high=1, help="standard deviation of the mix, in those of the pixels along each direction")

    def plug(self, parts: Parts) -> Lighting:
        """Find the directions. ValueError for images of one channel."""
        if parts.task.channels != 3:
            raise ValueError(
                "pca_lighting: needs colour, and with one channel would only shift the brightness; "
                "color_jitter: {contrast: 0} does that"
            )
        return Lighting(self.std, directions_of(parts.train))


@card(
    "gaussian_noise",
    family="augmentation",
    seams=("batch",),
    stage="colour",
    live=True,
    when="The camera is noisy, or the network leans on single pixels.",
    beware="In units of the whole pixel range: 0.1 is visible grain. Evaluation sees no noise.",
    source="Bishop 1995, Neural Computation 7",
)
class GaussianNoise(Toggle):
    """Add Gaussian noise to every pixel."""

    sigma: float = knob(0.1, low=0, high=1, help="standard deviation of the noise; pixels lie in [0, 1]")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) in [0, 1], and so it stays."""
        import torch

        noise = torch.randn(batch.x.shape, generator=at.stream("gaussian_noise"))
        noise = sent(noise, batch.x.device)
        return batch._replace(x=torch.add(batch.x, noise, alpha=self.sigma).clamp_(0, 1))
