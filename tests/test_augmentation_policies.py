"""The policies of the libraries: each image gets what the library gives it alone, under the seed that was drawn for it."""

import random

import numpy as np
import pytest
import torch
from kit import COLOUR, DIGITS, images, moment, parts
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from torch import nn
from torchvision.transforms import v2

from cockpit.engine.randomness import stream
from cockpit.tricks.augmentation.policies import (
    AugMix,
    AutoAugment,
    RandAugment,
    TrivialAugment,
    one_by_one,
    untouched_generators,
)

SAME = [
    ("auto_augment", AutoAugment(policy="svhn"), v2.AutoAugment(v2.AutoAugmentPolicy.SVHN)),
    ("auto_augment", AutoAugment(policy="imagenet"), v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET)),
    ("rand_augment", RandAugment(n=3, magnitude=20), v2.RandAugment(num_ops=3, magnitude=20, num_magnitude_bins=31)),
    ("trivial_augment", TrivialAugment(bins=11), v2.TrivialAugmentWide(num_magnitude_bins=11)),
    ("aug_mix", AugMix(severity=8, width=2), v2.AugMix(severity=8, mixture_width=2)),
]


def seeds(name, count):
    return torch.randint(2**31, (count,), generator=stream(0, name, 0)).tolist()


@pytest.mark.parametrize("task", [COLOUR, DIGITS], ids=["colour", "one channel"])
@pytest.mark.parametrize(("name", "trick", "library"), SAME)
def test_each_image_gets_what_the_library_gives_it_alone(name, trick, library, task):
    train = images(task, 40)
    ours = trick.plug(parts(nn.Identity(), task, train)).batch(train.take(torch.arange(40)), moment(task=task)).x
    for image, seed in enumerate(seeds(name, 40)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            theirs = library(train.pixels[image])
        assert torch.equal((ours[image] * 255).round(), theirs.float())


@pytest.mark.parametrize(
    ("knobs", "code"), [({}, "rand-m9-mstd0.5-inc1"), ({"n": 1, "inc": False, "mstd": 0}, "rand-m9-n1-mstd0-inc0")]
)
def test_timm_gets_the_picture_and_its_own_count_of_the_magnitude(knobs, code):
    train = images(COLOUR, 40)
    ours = RandAugment(scale="timm", **knobs).plug(parts(nn.Identity(), COLOUR, train))
    out = ours.batch(train.take(torch.arange(40)), moment(task=COLOUR)).x
    mean = tuple(round(255 * float(value)) for value in train.mean.flatten())
    library = rand_augment_transform(code, {"img_mean": mean})
    with untouched_generators():
        for image, seed in enumerate(seeds("rand_augment", 40)):
            random.seed(seed)
            np.random.seed(seed)
            theirs = np.array(library(Image.fromarray(train.pixels[image].permute(1, 2, 0).numpy())))
            assert np.array_equal((out[image] * 255).round().permute(1, 2, 0).numpy(), theirs)


def test_one_channel_through_timm_is_the_grey_picture():
    """Three equal channels stay equal under every operation, so taking one of them back loses nothing."""
    grey, three = images(DIGITS, 60), images(COLOUR._replace(height=8, width=8), 60)
    grey.mean.fill_(0.25)
    three.mean.fill_(0.25)
    three.pixels.copy_(grey.pixels.expand(-1, 3, -1, -1))
    trick, places = RandAugment(scale="timm", n=4), torch.arange(60)
    one = trick.plug(parts(nn.Identity(), DIGITS, grey)).batch(grey.take(places), moment()).x
    all_three = trick.plug(parts(nn.Identity(), COLOUR, three)).batch(three.take(places), moment()).x
    assert torch.equal(all_three, one.expand(-1, 3, -1, -1)) and one.shape == (60, 1, 8, 8)


def test_the_two_scales_are_different_policies():
    train = images(COLOUR, 8)
    outs = [
        RandAugment(scale=scale).plug(parts(nn.Identity(), COLOUR, train)).batch(train.take(torch.arange(8)), moment()).x
        for scale in ("torchvision", "timm")
    ]
    assert not torch.equal(*outs)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"scale": "timm", "magnitude": 20}, "from 0 to 10 on timm's scale, not 20; the nearest is 10"),
        ({"magnitude": 7.5}, "whole number from 0 to 30 on torchvision's scale, not 7.5; the nearest is 8"),
    ],
)
def test_a_magnitude_off_the_scale_is_refused(knobs, said):
    with pytest.raises(ValueError, match=said):
        RandAugment(**knobs)


def test_bytes_go_through_unchanged_and_odd_values_are_rounded():
    levels = torch.arange(256.0).view(1, 1, 16, 16) / 255
    assert torch.equal(one_by_one(levels, lambda image: image, stream(0, "x", 0)), levels)
    outside = torch.tensor([-0.1, 0.0021, 0.5, 1.2]).view(1, 1, 2, 2)
    seen = one_by_one(outside, lambda image: image, stream(0, "x", 0)).flatten() * 255
    assert seen.round().tolist() == [0, 1, 128, 255]


def test_an_image_has_its_own_seed_whoever_comes_before_it():
    def hungry(image):
        torch.rand(int(image.sum()) % 7)
        return image + torch.randint(100, (1,)).byte()

    dark, light = torch.zeros(3, 1, 2, 2), torch.full((3, 1, 2, 2), 0.01)
    light[2] = 0
    assert torch.equal(one_by_one(dark, hungry, stream(0, "x", 0))[2], one_by_one(light, hungry, stream(0, "x", 0))[2])


def test_the_generators_stand_as_before_even_after_an_error():
    def fail(image):
        torch.rand(3), random.random(), np.random.rand()
        raise RuntimeError("broken picture")

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    with pytest.raises(RuntimeError, match="broken picture"):
        one_by_one(torch.zeros(1, 1, 2, 2), fail, stream(0, "x", 0))
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
