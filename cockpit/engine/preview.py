"""The next training batch as the tricks leave it: what the network will see, and what it will be asked."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cockpit.engine import checkpoints
from cockpit.engine.reopen import built, recipe_of
from cockpit.engine.training import Training
from cockpit.recipe import Recipe
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.runs.launch_facts import allows_code


@dataclass(frozen=True)
class Thumbnail:
    """One image with its target."""

    pixels: bytes
    """uint8, (height, width, channels)"""
    shape: tuple[int, int, int]
    target: tuple[tuple[str, float], ...]
    """(class, share), the largest first; a single class with share 1 where nothing is mixed."""

    def plain(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "pixels": base64.b64encode(self.pixels).decode("ascii"),
            "shape": list(self.shape),
            "target": [list(part) for part in self.target],
        }


def of_recipe(recipe: Recipe, count: int, *, allow_code: bool = False) -> list[Thumbnail]:
    """The first batch of a recipe. Raises what assembling raises."""
    job, loaded = built(recipe, allow_code=allow_code)
    return thumbnails(job, loaded.classes, count)


def of_run(run: RunDir, count: int) -> list[Thumbnail]:
    """The batch that a run takes next; its own process is not disturbed. Raises what assembling and loading raise."""
    job, loaded = built(recipe_of(run), allow_code=allows_code(run))
    if run.checkpoint("last").exists():
        with checkpoints.fitting(run.checkpoint("last")):
            job.load_state_dict(checkpoints.load(run.checkpoint("last")))
    job.step = min(read_history(run).step, job.total_steps - 1)
    return thumbnails(job, loaded.classes, count)


def thumbnails(job: Training, classes: tuple[str, ...], count: int) -> list[Thumbnail]:
    """The first images of the next step."""
    job.model.train()
    batch = job.batches(next(job.rest_of_epoch()), job.moment())[0]
    shown = (batch.x[:count].detach() * job.train.std + job.train.mean).clamp(0, 1)
    pixels = (shown * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous()
    return [
        Thumbnail(image.numpy().tobytes(), (image.shape[0], image.shape[1], image.shape[2]), _target(y, classes))
        for image, y in zip(pixels, batch.y[:count].cpu(), strict=True)
    ]


def _target(y: Tensor, classes: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """What the network is asked, classes below one percent left out."""
    if not y.is_floating_point():
        return ((classes[int(y)], 1.0),)
    shares = sorted(((float(share), number) for number, share in enumerate(y) if share >= 0.01), reverse=True)
    return tuple((classes[number], round(share, 3)) for share, number in shares)
