"""Mixup: train on blends of two images and of their labels."""

from __future__ import annotations

from typing import Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment


@card(
    "mixup",
    family="mixing",
    seams=("batch",),
    stage="mix",
    live=True,
    tags=("soft_targets",),
    when="The network is large for its data, or too sure of itself.",
    beware="Accuracy on mixed images means nothing: read the clean probe. Long runs gain, short ones lose a little.",
    source="Zhang et al. 2018, arXiv 1710.09412",
)
class Mixup(Toggle):
    """Blend each image with another, and the two labels by the same weight."""

    alpha: float = knob(0.2, above=0, high=4, help="both parameters of the Beta distribution of the weight; 1 is uniform")
    prob: float = knob(1.0, low=0, high=1, help="share of the batches that are mixed")
    per: Literal["batch", "sample"] = knob("batch", help="one weight for the whole batch, or one for each image")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) -> blended; y -> float (B, classes)."""
        import numpy as np
        import torch
        from torch.nn import functional

        stream = at.stream("mixup")
        partner = torch.randperm(len(batch.x), generator=stream).to(batch.x.device)
        if float(torch.rand((), generator=stream)) >= self.prob:
            return batch
        draws = np.random.default_rng(stream.initial_seed())
        weight = draws.beta(self.alpha, self.alpha, 1 if self.per == "batch" else len(batch.x)).astype(np.float32)
        share = torch.from_numpy(weight).to(batch.x.device)
        y = batch.y if batch.y.is_floating_point() else functional.one_hot(batch.y, at.task.classes).float()
        return batch._replace(
            x=torch.lerp(batch.x[partner], batch.x, share.view(-1, 1, 1, 1)), y=torch.lerp(y[partner], y, share.view(-1, 1))
        )
