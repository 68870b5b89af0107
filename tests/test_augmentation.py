"""What every trick that changes images keeps to: a draw for each image, its own stream, nobody else's images or generators."""

import random

import numpy as np
import pytest
import torch
from kit import COLOUR, DIGITS, images, moment, parts
from torch import nn
from torchvision.transforms import v2

from cockpit.tricks.augmentation import colour, crops, holes, moves, policies, turns
from cockpit.tricks.resolution import ResolutionInTraining

TRICKS = {
    "flip": (moves.RandomFlip(), 2),
    "crop": (moves.RandomCrop(pad=2), 16),
    "resized_crop": (crops.RandomResizedCrop(scale_min=0.3), 24),
    "resized_crop_cubic": (crops.RandomResizedCrop(interpolation="bicubic", size=12), 30),
    "rotation": (turns.Rotation(), 32),
    "affine": (turns.Affine(), 32),
    "color_jitter": (colour.ColorJitter(hue=0.1), 32),
    "pca_lighting": (colour.PcaLighting(), 32),
    "gaussian_noise": (colour.GaussianNoise(), 32),
    "random_erasing": (holes.RandomErasing(p=1.0), 32),
    "random_erasing_const": (holes.RandomErasing(p=1.0, fill="const"), 24),
    "random_erasing_rand": (holes.RandomErasing(p=1.0, fill="rand"), 32),
    "cutout": (holes.Cutout(size=4), 24),
    "auto_augment": (policies.AutoAugment(), 12),
    "rand_augment": (policies.RandAugment(), 24),
    "rand_augment_timm": (policies.RandAugment(scale="timm"), 16),
    "trivial_augment": (policies.TrivialAugment(), 24),
    "aug_mix": (policies.AugMix(), 30),
}
"""A trick, and how many of 32 equal images come out different at the least: chance repeats a coarse draw."""
WITHOUT_COLOUR = [name for name in TRICKS if name != "pca_lighting"]
NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))


def plugged(name, task=COLOUR):
    net = NET if task.channels == 3 else nn.Sequential(nn.Conv2d(1, 4, 3))
    return TRICKS[name][0].plug(parts(net, task))


def equal_images(task=COLOUR, count=32):
    one = images(task).take(torch.zeros(count, dtype=torch.int64))
    return one._replace(ids=torch.arange(count))


def distinct(x):
    return len(torch.unique(x.flatten(1), dim=0))


@pytest.mark.parametrize("name", TRICKS)
def test_equal_images_come_out_different(name):
    out = plugged(name).batch(equal_images(), moment(task=COLOUR)).x
    assert distinct(out) >= TRICKS[name][1]


@pytest.mark.parametrize(
    "transform",
    [
        v2.RandomHorizontalFlip(),
        v2.RandomCrop(16, padding=2),
        v2.RandomResizedCrop(16, antialias=True),
        v2.RandomAffine(10, (0.1, 0.1)),
        v2.ColorJitter(0.4, 0.4, 0.4),
        v2.RandomErasing(1.0),
        v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10),
        v2.RandAugment(),
        v2.TrivialAugmentWide(),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_that_is_why_the_library_is_not_given_a_batch(transform):
    whole = (equal_images().x * 255).byte() if "Augment" in type(transform).__name__ else equal_images().x
    for seed in range(3):
        torch.manual_seed(seed)
        assert distinct(transform(whole)) == 1


@pytest.mark.parametrize("name", TRICKS)
def test_a_step_repeats_its_draws_and_the_next_one_has_others(name):
    plug, given = plugged(name), images(COLOUR).take(torch.arange(32))
    first, again, later = (plug.batch(given, moment(step, COLOUR)).x for step in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


@pytest.mark.parametrize("name", TRICKS)
def test_neither_the_given_nor_the_stored_images_change(name):
    train = images(COLOUR)
    stored, plug = train.pixels.clone(), TRICKS[name][0].plug(parts(NET, COLOUR, train))
    given = train.take(torch.arange(32))
    before = given.x.clone()
    out = plug.batch(given, moment(task=COLOUR))
    assert torch.equal(given.x, before) and torch.equal(train.pixels, stored)
    assert torch.equal(out.y, given.y) and torch.equal(out.ids, given.ids)


@pytest.mark.parametrize("name", TRICKS)
def test_the_generators_of_the_run_do_not_move(name):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    plugged(name).batch(equal_images(), moment(task=COLOUR))
    assert states() == before


@pytest.mark.parametrize("name", WITHOUT_COLOUR)
def test_images_of_one_channel_keep_their_shape_and_range(name):
    given = images(DIGITS).take(torch.arange(32))
    out = plugged(name, DIGITS).batch(given, moment()).x
    side = 12 if name == "resized_crop_cubic" else 8
    assert out.shape == (32, 1, side, side) and out.dtype == torch.float32 and out.isfinite().all()
    if not isinstance(TRICKS[name][0], holes.RandomErasing):
        assert float(out.min()) >= 0 and float(out.max()) <= 1
    assert not torch.equal(out, given.x)


@pytest.mark.parametrize("name", ["random_erasing", "cutout", "flip"])
def test_probability_nought_touches_nothing(name):
    trick = type(TRICKS[name][0])(p=0.0)
    given = equal_images()
    assert torch.equal(trick.batch(given, moment(task=COLOUR)).x, given.x)


def test_growing_images_are_no_draw_at_all():
    given = images(COLOUR).take(torch.arange(4))
    plug = ResolutionInTraining().plug(parts(NET, COLOUR))
    assert torch.equal(plug.batch(given, moment(0, COLOUR, seed=1)).x, plug.batch(given, moment(0, COLOUR, seed=2)).x)
