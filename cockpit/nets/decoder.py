"""The two networks that rebuild an image beside a classifier: what the classifier's code leaves out, and the way back."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cockpit.travel import Task

REST = 8
"""Channels of the code for what the classifier does not care about."""
SEED = 4
"""Side of the map that the classifier's code is first laid out on."""


def rest_encoder(task: Task, width: int) -> nn.Sequential:
    """(B, C, H, W) -> (B, 8, H / 4, W / 4), rounded up: small, so that the rest cannot hold the whole image."""
    return nn.Sequential(
        nn.Conv2d(task.channels, width, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(width, REST, 3, stride=2, padding=1)
    )


class Decoder(nn.Module):
    """An image from the classifier's code and the rest."""

    def __init__(self, task: Task, features: int, width: int) -> None:
        super().__init__()
        self.lay_out = nn.Linear(features, width * SEED * SEED)
        self.join = nn.Conv2d(width + REST, width, 3, padding=1)
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.paint = nn.Conv2d(width, task.channels, 3, padding=1)

    def forward(self, code: Tensor, rest: Tensor, height: int, width: int) -> Tensor:
        """(B, features) and (B, 8, H / 4, W / 4) -> (B, C, H, W) in [0, 1]."""
        map_ = functional.interpolate(self.lay_out(code).unflatten(1, (-1, SEED, SEED)), rest.shape[2:])
        map_ = functional.relu(self.join(torch.cat([map_, rest], dim=1)))
        map_ = functional.relu(self.refine(functional.interpolate(map_, ((height + 1) // 2, (width + 1) // 2))))
        painted: Tensor = self.paint(functional.interpolate(map_, (height, width)))
        return painted.sigmoid()
