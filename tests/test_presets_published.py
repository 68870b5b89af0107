"""The recipes of the table in "ResNet strikes back": the published numbers, typed in once more, and the small ones train."""

import pytest
import torch

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.recipe import Recipe, load

COLUMNS = "epochs batch lr decay smoothing depth repeats randaug mixup cutmix erasing warmup crop bce test_ratio"
TABLE = {
    "resnet_2015": (90, 256, 0.1, 1e-4, 0, 0, 0, 0, 0, 0, 0, 0, 224, False, 0.875),
    "pytorch": (90, 256, 0.1, 1e-4, 0, 0, 0, 0, 0, 0, 0, 0, 224, False, 0.875),
    "fixres": (120, 512, 0.2, 1e-4, 0, 0, 3, 0, 0, 0, 0, 0, 224, False, 0.875),
    "deit": (300, 1024, 1e-3, 0.05, 0.1, 0.1, 3, 9, 0.8, 1, 0.25, 5, 224, False, 0.875),
    "fams": (400, 1024, 2.0, 1e-4, 0.1, 0, 0, 0, 0.2, 0, 0, 5, 224, False, 0.875),
    "rsb_a1": (600, 2048, 5e-3, 0.01, 0.1, 0.05, 3, 7, 0.2, 1, 0, 5, 224, True, 0.95),
    "rsb_a2": (300, 2048, 5e-3, 0.02, 0, 0.05, 3, 7, 0.1, 1, 0, 5, 224, True, 0.95),
    "rsb_a3": (100, 2048, 8e-3, 0.02, 0, 0, 0, 6, 0.1, 1, 0, 5, 160, True, 0.95),
}
OPTIMIZERS = {"deit": "adamw", "rsb_a1": "lamb", "rsb_a2": "lamb", "rsb_a3": "lamb"}
SCHEDULES = {"deit": "cosine", "fams": "exponential", "rsb_a1": "cosine", "rsb_a2": "cosine", "rsb_a3": "cosine"}


def knob(recipe: Recipe, trick: str, name: str) -> float:
    return getattr(recipe.tricks[trick], name) if trick in recipe.tricks else 0


def row(recipe: Recipe) -> tuple[object, ...]:
    """A recipe as a line of the table."""
    both = "mixup_or_cutmix" in recipe.tricks
    return (
        recipe.train.epochs,
        recipe.train.batch_size * (knob(recipe, "grad_accumulation", "steps") or 1),
        recipe.optimizer.lr,
        recipe.optimizer.weight_decay,
        knob(recipe, "label_smoothing", "epsilon"),
        knob(recipe, "stochastic_depth", "rate"),
        knob(recipe, "repeated_aug", "k"),
        knob(recipe, "rand_augment", "magnitude"),
        knob(recipe, "mixup_or_cutmix", "mixup_alpha") if both else knob(recipe, "mixup", "alpha"),
        knob(recipe, "mixup_or_cutmix", "cutmix_alpha"),
        knob(recipe, "random_erasing", "p"),
        recipe.schedule.warmup_epochs,
        knob(recipe, "random_resized_crop", "size"),
        recipe.loss.card.name == "bce",
        knob(recipe, "test_resolution", "crop_ratio"),
    )


@pytest.mark.parametrize("name", TABLE)
def test_a_preset_holds_the_published_column(name: str) -> None:
    recipe = load(name)
    assert dict(zip(COLUMNS.split(), row(recipe), strict=True)) == dict(zip(COLUMNS.split(), TABLE[name], strict=True))
    assert recipe.optimizer.card.name == OPTIMIZERS.get(name, "momentum")
    assert recipe.schedule.card.name == SCHEDULES.get(name, "step")
    assert ("no_decay_1d" in recipe.tricks) == (name in OPTIMIZERS)
    assert ("pca_lighting" in recipe.tricks) == (name == "resnet_2015")
    assert ("color_jitter" in recipe.tricks) == (name in ("pytorch", "fixres"))
    assert ("swa" in recipe.tricks, "auto_augment" in recipe.tricks) == (name == "fams", name == "fams")
    assert recipe.model.depth == 50 and recipe.model.stem == "imagenet"


@pytest.mark.parametrize("name", TABLE)
def test_the_small_one_has_the_same_parts_and_trains(name: str) -> None:
    large, small = load(name), load(f"{name}_mini")
    scaled = {"random_resized_crop", "test_resolution", "grad_accumulation", "pca_lighting", "random_crop", "prior_bias"}
    assert set(large.tricks) - scaled == set(small.tricks) - scaled
    assert (large.optimizer.card.name, large.schedule.card.name) == (small.optimizer.card.name, small.schedule.card.name)
    assert large.loss == small.loss and large.optimizer.weight_decay == small.optimizer.weight_decay
    torch.set_num_threads(1)
    fake = "data={source: synthetic, size: 28, channels: 1, train: 40, test: 10, val: 10}"
    job, _ = assemble(load(f"{name}_mini", [fake, "train.batch_size=8"]), Places(root=data_root()))
    losses: list[float] = []
    recorder = Recorder(lambda steps, layers: losses.extend(steps["loss"]))
    job.model.train()
    for places in list(job.rest_of_epoch())[:2]:
        take_step(job, places, recorder)
    recorder.flush()
    assert len(losses) == 2 and all(0 < loss < 20 for loss in losses)
