"""Image sizes against torchvision's resize and crop, and repeated images by count."""

import pytest
import torch
from kit import COLOUR, epoch, images, moment, parts
from torch import nn
from torchvision.transforms import v2

from cockpit.tricks.repeated_aug import RepeatedAug
from cockpit.tricks.resolution import ResolutionInEvaluation, ResolutionInTraining


class AnySize(nn.Module):
    """Answers with the mean of each channel, and remembers what it saw."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return x.mean((2, 3)) * self.weight


FLAT = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))


@pytest.mark.parametrize(("size", "ratio"), [(16, 0.875), (24, 1.0), (12, 0.5), (21, 0.95), (13, 0.8)])
def test_the_scored_image_is_resized_and_cropped_as_by_the_library(size, ratio):
    net = AnySize()
    x = images(COLOUR).clean(torch.arange(8)).x
    plug = ResolutionInEvaluation(size=size, crop_ratio=ratio).plug(parts(net, COLOUR))
    plug.evaluate(net)(x)
    theirs = v2.CenterCrop(size)(v2.Resize(round(size / ratio), antialias=True)(x))
    torch.testing.assert_close(net.seen[-1], theirs, atol=1e-5, rtol=0)
    assert net.seen[-1].shape == (8, 3, size, size)


def test_the_shape_of_a_long_image_stays():
    net, wide = AnySize(), COLOUR._replace(width=32)
    ResolutionInEvaluation(size=24).plug(parts(net, wide)).evaluate(net)(torch.rand(2, 3, 16, 32))
    assert net.seen[-1].shape == (2, 3, 24, 48)


def test_the_defaults_of_evaluation_change_nothing():
    net, x = AnySize(), torch.rand(4, 3, 16, 16)
    ResolutionInEvaluation().plug(parts(net, COLOUR)).evaluate(net)(x)
    assert torch.equal(net.seen[-1], x)


def test_training_images_grow_to_their_full_size():
    trick = ResolutionInTraining(size=24, start=0.5, until=0.5)
    trick.plug(parts(AnySize(), COLOUR))
    given = images(COLOUR).take(torch.arange(4))
    outs = {step: trick.batch(given, moment(step, COLOUR, total=100)).x for step in (0, 25, 49, 50, 99)}
    assert {step: x.shape[2] for step, x in outs.items()} == {0: 12, 25: 18, 49: 24, 50: 24, 99: 24}
    torch.testing.assert_close(outs[25], v2.Resize(18, antialias=True)(given.x), atol=1e-5, rtol=0)


def test_one_size_throughout():
    trick, given = ResolutionInTraining(size=12, start=1.0), images(COLOUR).take(torch.arange(4))
    assert {trick.batch(given, moment(step, COLOUR)).x.shape[2] for step in range(0, 100, 9)} == {12}
    full = ResolutionInTraining(start=1.0).batch(given, moment(task=COLOUR)).x
    assert torch.equal(full, given.x)


@pytest.mark.parametrize(
    ("trick", "shown"),
    [
        (ResolutionInEvaluation(size=24), "24x24"),
        (ResolutionInTraining(), "12x12"),
        (ResolutionInTraining(size=24, start=1.0), "24x24"),
    ],
)
def test_a_network_of_one_size_is_refused(trick, shown):
    with pytest.raises(ValueError, match=f"cannot take images of {shown}: it is built for 16x16; small_cnn and resnet"):
        trick.plug(parts(FLAT, COLOUR))


def test_looking_first_leaves_the_network_alone():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    before, random = {name: value.clone() for name, value in net.state_dict().items()}, torch.get_rng_state()
    ResolutionInTraining().plug(parts(net, COLOUR))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training and torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(("length", "k"), [(32, 2), (32, 3), (7, 3), (2, 3), (8, 8)])
def test_a_batch_keeps_its_length_and_holds_each_chosen_image_k_times(length, k):
    batches = torch.randperm(500, generator=torch.Generator().manual_seed(0)).split(length)
    repeated = RepeatedAug(k=k).sampler(batches, epoch(torch.zeros(500, dtype=torch.int64)))
    assert len(repeated) == len(batches)
    for before, after in zip(batches, repeated, strict=True):
        places, counts = after.unique(return_counts=True)
        assert len(after) == len(before) and set(places.tolist()) <= set(before.tolist())
        times = counts.tolist()
        assert times.count(k) == len(before) // k and times.count(1) == len(before) % k
        assert after.dtype == torch.int64


def test_neighbours_are_different_images():
    (batch,) = RepeatedAug(k=4).sampler((torch.arange(32),), epoch(torch.zeros(32, dtype=torch.int64)))
    assert (batch != batch.roll(1)).all()


def test_copies_are_augmented_differently():
    from cockpit.tricks.augmentation.turns import Affine

    train = images(COLOUR)
    (places,) = RepeatedAug(k=4).sampler((torch.arange(32),), epoch(train.labels))
    out = Affine().batch(train.take(places), moment(task=COLOUR)).x
    assert len(torch.unique(out.flatten(1), dim=0)) == 32
