"""Mixes that leave the label alone: two images of one class, or the shape of one with the tone of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment
from cockpit.tricks._sent import sent
from cockpit.tricks.mixing._mix import ONE_MIX, beta, blend, boxes, cycle, paste

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def of_one_class(y: Tensor, stream: torch.Generator) -> Tensor:
    """int64 (B,): a partner of the same class for each label (B,), along a random circle inside each class."""
    import torch

    order = sent(torch.randperm(len(y), generator=stream), y.device)
    order = order[torch.argsort(y[order], stable=True)]
    ranked = y[order]
    first, end = torch.searchsorted(ranked, ranked), torch.searchsorted(ranked, ranked, right=True)
    following = torch.arange(1, len(y) + 1, device=y.device)
    following = torch.where(following < end, following, first)
    return torch.empty_like(order).index_copy_(0, order, order[following])


@card(
    "same_class_mix",
    family="mixing",
    seams=("batch",),
    stage="mix",
    live=True,
    tags=("mixes",),
    conflicts={"mixes": ONE_MIX},
    when="A loss that needs hard labels, or labels that should stay certain.",
    beware="Many classes in a small batch leave few pairs: an image alone in its class stays as it is.",
    source="Zhang et al. 2018, arXiv 1710.09412; Yun et al. 2019, arXiv 1905.04899; inside a class",
)
class SameClassMix(Toggle):
    """Mix two images of one class by mixup or cutmix; the label stays."""

    form: Literal["mixup", "cutmix"] = knob("cutmix", help="blend the images, or paste a box of one into the other")
    alpha: float = knob(1.0, above=0, high=4, help="both parameters of the Beta distribution of the share; 1 is uniform")
    prob: float = knob(0.5, low=0, high=1, help="share of the images that are mixed")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) -> mixed, each image with a draw of its own; y: int64 (B,) stays."""
        import torch

        stream, size = at.stream("same_class_mix"), len(batch.x)
        partner = of_one_class(batch.y, stream)
        keep = torch.where(torch.rand(size, generator=stream) < self.prob, beta(self.alpha, size, stream), 1.0)
        if self.form == "mixup":
            return blend(batch, partner, keep, None)
        height, width = batch.x.shape[2:]
        return paste(batch, partner, boxes(1 - keep, torch.arange(size), height, width, stream), None)


def amplitude_mixed(x: Tensor, partner: Tensor, share: Tensor, beta: float) -> Tensor:
    """The phases of x (B, C, H, W) with amplitudes that move by `share` (B,) to those of `x[partner]` at low frequencies.

    Low are those up to beta times the shorter side, in waves along each axis. In float32; the result may leave [0, 1].
    """
    import torch

    height, width = x.shape[2:]
    most = max(1, int(beta * min(height, width)))
    waves = torch.fft.rfft2(x.float())
    falling = slice(max(most + 1, height - most), height)  # negative frequencies of the rows
    for low in (waves[:, :, : most + 1, : most + 1], waves[:, :, falling, : most + 1]):
        amplitude = low.abs()
        low.copy_(torch.polar(torch.lerp(amplitude, amplitude[partner], share.view(-1, 1, 1, 1)), low.angle()))
    mixed: Tensor = torch.fft.irfft2(waves, s=(height, width))
    return mixed


@card(
    "amplitude_mix",
    family="mixing",
    seams=("batch",),
    stage="colour",
    live=True,
    tags=("mixes",),
    conflicts={"mixes": ONE_MIX},
    when="Photographs whose light and colour say nothing of the class.",
    beware="Does little to digits on a black ground. Frequency 0 is among those blended: brightness moves too.",
    source="Yang & Soatto 2020, arXiv 2004.05498; Xu et al. 2021, arXiv 2105.14391",
)
class AmplitudeMix(Toggle):
    """Keep an image's Fourier phases and blend in the low-frequency amplitudes of another; the label stays.

    The phases hold edges and shapes, the amplitudes light, colour and texture.
    """

    beta: float = knob(0.1, above=0, high=0.5, help="highest frequency that is blended, as a share of the shorter side")
    strength: float = knob(1.0, low=0, high=1, help="the share of the other's amplitude is drawn between 0 and this")
    prob: float = knob(0.5, low=0, high=1, help="share of the images that are mixed")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) in [0, 1] -> mixed, in [0, 1]; y stays."""
        import torch

        stream, size = at.stream("amplitude_mix"), len(batch.x)
        partner = sent(cycle(size, stream), batch.x.device)
        share = sent(self.strength * torch.rand(size, generator=stream), batch.x.device)
        chosen = sent((torch.rand(size, generator=stream) < self.prob).view(-1, 1, 1, 1), batch.x.device)
        mixed = amplitude_mixed(batch.x, partner, share, self.beta).clamp_(0, 1)
        return batch._replace(x=torch.where(chosen, mixed, batch.x))
