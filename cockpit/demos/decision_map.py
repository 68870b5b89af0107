"""Decision regions of a small network in the plane, trained plainly and with tricks, by the project's own loop."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cockpit.cards import knob
from cockpit.demos.points import WINDOW, Points, Shape, drawn
from cockpit.families import CHOICES
from cockpit.recipe import Recipe, RecipeError, loads
from cockpit.recipe.faults import Place, fault

if TYPE_CHECKING:
    from cockpit.demos import Say
    from cockpit.engine.training import Training

BATCH = 50
BASE = f"""
data: {{source: synthetic, size: 1, channels: 2}}
model: {{name: mlp, widths: [64, 64], norm: none}}
optimizer: {{name: adam, lr: 0.01}}
schedule: constant
train: {{batch_size: {BATCH}, device: cpu, precision: fp32}}
"""
"""The plain training; the points take the place of its data."""
COLUMNS, ROWS = 152, 104
"""Places of the window at which the network is asked."""


@dataclass(frozen=True)
class Settings:
    """The regions that a small network makes between two classes of points, and what each trick makes of them.

    What is trained is an MLP of the catalogue, by the loop of every run. Each entry of `trick` makes one more map: a toggle
    (`mixup`), one with a knob (`mixup.alpha=1`), a path of the recipe (`optimizer.weight_decay=0.01`), or several of those
    with a blank between. Over eight seeds mixup, noise and decay shortened the lines of equal probability, label smoothing
    made the network less sure and the lines longer.
    """

    data: Shape = knob("moons", help="what the two classes look like")
    noise: float = knob(0.2, low=0, high=1, help="standard deviation of each coordinate of a point")
    points: int = knob(100, low=BATCH, high=10_000, help="training points")
    steps: int = knob(800, low=1, high=100_000, help="steps of the training, rounded up to whole epochs")
    trick: tuple[str, ...] = knob(
        (
            "mixup",
            "gaussian_noise",
            "optimizer.weight_decay=0.01",
            "dropout.p=0.3 dropout.where=all",
            "label_smoothing",
        ),
        help="what to draw beside the plain training",
    )
    seed: int = knob(0, low=0, high=1_000_000, help="seed of the points and of the training")


@dataclass(frozen=True, eq=False)
class Map:
    """One training: where the network sees which class."""

    title: str
    probability: NDArray[np.float64]
    """Of the second class, (ROWS, COLUMNS), the top row first."""
    train_accuracy: float
    fresh_accuracy: float
    """On points that it was not trained on."""

    @property
    def slopes(self) -> NDArray[np.float64]:
        """Norm of the probability's gradient in the plane, at each place."""
        left, right, bottom, top = WINDOW
        down, across = np.gradient(self.probability, (top - bottom) / ROWS, (right - left) / COLUMNS)
        slopes: NDArray[np.float64] = np.hypot(down, across)
        return slopes

    @property
    def slope(self) -> float:
        """Mean norm of the gradient: over the area, the mean length of the lines of equal probability."""
        return float(self.slopes.mean())

    @property
    def unsure(self) -> float:
        """Share of the window where neither class has 90 %."""
        return float(((self.probability > 0.1) & (self.probability < 0.9)).mean())

    def plain(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "title": self.title,
            "train_accuracy": self.train_accuracy,
            "fresh_accuracy": self.fresh_accuracy,
            "slope": self.slope,
            "steepest": float(self.slopes.max()),
            "unsure": self.unsure,
            "probability": self.probability.round(3).tolist(),
        }


@dataclass(frozen=True, eq=False)
class Result:
    """The points and a map for each training, the plain one first."""

    places: NDArray[np.float64]
    """(N, 2)"""
    classes: NDArray[np.int64]
    maps: tuple[Map, ...]

    def plain(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "window": list(WINDOW),
            "points": self.places.round(3).tolist(),
            "classes": self.classes.tolist(),
            "maps": [each.plain() for each in self.maps],
        }


def run(settings: Settings, say: Say) -> Result:
    """Train once plainly and once for each entry of `trick`. Raises RecipeError, AssemblyError and NonFiniteLossError."""
    recipes = {words or "plain": recipe_of(settings, words) for words in ("", *settings.trick)}
    maps: list[Map] = []
    for title, recipe in recipes.items():
        say(f"training {title} ({len(maps) + 1} of {len(recipes)})")
        maps.append(_map(title, recipe))
    places, classes = drawn(settings.data, settings.points, settings.noise, 3 * settings.seed)
    return Result(places, classes, tuple(maps))


def recipe_of(settings: Settings, words: str) -> Recipe:
    """The recipe of one map. Raises RecipeError."""
    epochs = math.ceil(settings.steps / (settings.points // BATCH))
    base = [f"seed={settings.seed}", f"train.epochs={epochs}"]
    edits = [_edit(word) for word in words.split()]
    recipe = loads(BASE, edits=[*base, *edits])
    if recipe.data != loads(BASE).data:
        message = "the points are the demonstration's own"
        raise RecipeError(
            [fault(Place(f"--set trick={words[:60]}"), "", message, "its knobs data, noise and points change them")]
        )
    points = Points(shape=settings.data, noise=settings.noise, count=settings.points, seed=settings.seed)
    return replace(recipe, data=points)


def _edit(word: str) -> str:
    """`mixup` -> `tricks.mixup=on`, `mixup.alpha=1` -> `tricks.mixup.alpha=1`; paths of the recipe stay."""
    section = word.partition("=")[0].partition(".")[0]
    path = word if section in (*CHOICES, "train", "tricks", "seed") else f"tricks.{word}"
    return path if "=" in path else f"{path}=on"


def _map(title: str, recipe: Recipe) -> Map:
    import torch

    from cockpit.engine.logbook import NonFiniteLossError

    job = _trained(recipe)
    across, down = (np.arange(COLUMNS) + 0.5) / COLUMNS, 1 - (np.arange(ROWS) + 0.5) / ROWS
    grid = torch.from_numpy(np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2, 1, 1)).float().to(job.device)
    with job.settled(), torch.no_grad():
        model = job.wiring.through("evaluate", job.model).eval()

        def accuracy(feed: Any) -> float:
            batch = feed.clean(torch.arange(len(feed), device=job.device))
            return float((model(batch.x).argmax(1) == batch.y).float().mean())

        seen = recipe.loss.probabilities(model((grid - job.train.mean) / job.train.std).float())
        probability = seen[:, 1].double().view(ROWS, COLUMNS).cpu().numpy()
        if not np.isfinite(probability).all():
            raise NonFiniteLossError(f"{title}: the training left the numbers; a smaller optimizer.lr may keep it")
        return Map(title, probability, accuracy(job.train), accuracy(job.val))


def _trained(recipe: Recipe) -> Training:
    """Every step of a recipe, and nothing of a run: no folder, no checkpoints, no evaluations."""
    from cockpit.datasets.base import Places
    from cockpit.engine.assemble import assemble
    from cockpit.engine.loop import take_step
    from cockpit.engine.recorder import Recorder

    job, _ = assemble(recipe, Places(root=Path(), download=False))
    recorder = Recorder(lambda steps, layers: None)
    job.model.train()
    while job.step < job.total_steps:
        for places in job.rest_of_epoch():
            take_step(job, places, recorder)
    recorder.flush()
    return job
