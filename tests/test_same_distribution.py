"""Our draws, one for each image of a batch, against torchvision's, one for each call: the same distributions.

Two samples are told apart by the largest distance of their distribution functions (Kolmogorov and Smirnov), at a bound that
equal distributions cross once in a thousand times; the seeds are fixed. What each of our operations makes of its draws is
compared to the pixel in test_augmentation_geometry.py and test_augmentation_colour.py, the policies in
test_augmentation_policies.py and boxes and weights of a mix in test_mixing.py.
"""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from kit import moment
from torch import Tensor
from torchvision.transforms import v2

from cockpit.travel import Batch, Task
from cockpit.tricks.augmentation.colour import ColorJitter
from cockpit.tricks.augmentation.crops import RandomResizedCrop
from cockpit.tricks.augmentation.holes import RandomErasing
from cockpit.tricks.augmentation.moves import RandomCrop, RandomFlip
from cockpit.tricks.augmentation.turns import Rotation
from cockpit.tricks.mixing.blends import Cutmix, Mixup

COUNT = 3000
TASK = Task(3, 24, 24, 2)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        yield


def batch(x: Tensor) -> Batch:
    return Batch(x, torch.arange(len(x)) % 2, torch.arange(len(x)))


def apart(one: Tensor, other: Tensor) -> float:
    """The distance of two samples, in units of the bound."""
    one, other = one.flatten().double().sort().values, other.flatten().double().sort().values
    every = torch.cat([one, other])
    shares = [torch.searchsorted(sample, every, right=True) / len(sample) for sample in (one, other)]
    return float((shares[0] - shares[1]).abs().max()) / (1.95 * math.sqrt(1 / len(one) + 1 / len(other)))


def places(side: int = 24, count: int = COUNT) -> Tensor:
    """Images whose two channels say row and column, from 1."""
    line = torch.arange(1.0, side + 1)
    return torch.stack([line[:, None].expand(-1, side), line.expand(side, -1)]).expand(count, -1, -1, -1)


def library(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.stack([transform(image) for image in x])


def test_the_measure_tells_samples_apart():
    one, same, wider, moved = torch.rand(COUNT), torch.rand(COUNT), 1.15 * torch.rand(COUNT), torch.rand(COUNT) + 0.08
    assert apart(one, same) < 1 < min(apart(one, wider), apart(one, moved))


@pytest.mark.parametrize("pad", [2, 4])
def test_crop_offsets(pad: int):
    ours = RandomCrop(pad=pad, mode="zeros").batch(batch(places()), moment(task=TASK)).x[:, :, 12, 12]
    theirs = library(v2.RandomCrop(24, padding=pad), places())[:, :, 12, 12]
    for axis in (0, 1):
        counts = torch.stack(
            [torch.bincount((each[:, axis] - 13 + pad).long(), minlength=2 * pad + 1) for each in (ours, theirs)]
        )
        share, each = 1 / (2 * pad + 1), COUNT * torch.ones(2, 2 * pad + 1)
        assert counts.shape[1] == 2 * pad + 1
        assert ((counts / each - share).abs() < 4 * math.sqrt(share * (1 - share) / COUNT)).all()
    assert abs(float(torch.corrcoef(ours.T)[0, 1])) < 4 / math.sqrt(COUNT), "rows and columns are drawn apart"


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_flip_rates(p: float):
    ours = RandomFlip(p=p).batch(batch(places()), moment(task=TASK)).x[:, 1, 0, 0] > 1
    theirs = library(v2.RandomHorizontalFlip(p), places())[:, 1, 0, 0] > 1
    error = math.sqrt(p * (1 - p) / COUNT)
    assert abs(float(ours.float().mean()) - p) < 4 * error
    assert abs(float(ours.float().mean()) - float(theirs.float().mean())) < 4 * math.sqrt(2) * error


@pytest.mark.parametrize(("height", "width"), [(32, 32), (200, 200), (60, 100), (30, 160)])
@pytest.mark.parametrize(("least", "ratio"), [(0.08, 4 / 3), (0.35, 1.2)])
def test_areas_shapes_and_places_of_resized_crops(height: int, width: int, least: float, ratio: float):
    draws = torch.rand(22, COUNT)
    ours = RandomResizedCrop(scale_min=least, ratio_max=ratio).boxes(draws, height, width)
    transform = v2.RandomResizedCrop(24, scale=(least, 1), ratio=(1 / ratio, ratio))
    found = [transform.make_params([torch.empty(1, height, width)]) for _ in range(COUNT)]
    theirs = torch.tensor([[float(box[key]) for box in found] for key in ("top", "left", "height", "width")])
    for of in (lambda b: b[2] * b[3], lambda b: b[3] / b[2], lambda b: b[0], lambda b: b[1], lambda b: b[2], lambda b: b[3]):
        assert apart(of(ours), of(theirs)) < 1
    other = RandomResizedCrop(scale_min=least / 2, ratio_max=ratio).boxes(draws, height, width)
    assert least < 0.1 or apart(other[2] * other[3], theirs[2] * theirs[3]) > 1


def holes(x: Tensor) -> Tensor:
    """(n, 4): top, left, height and width of the zeros of each image that has some."""
    empty = (x == 0).all(1)
    rows, columns = (empty.any(axis).int() for axis in (2, 1))
    touched = empty.flatten(1).any(1)
    edges = [rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)]
    return torch.stack(edges, dim=1)[touched]


def test_boxes_that_are_erased():
    x = places(32)
    ours = holes(RandomErasing(p=0.8, fill="const").batch(batch(x), moment(task=TASK)).x)
    theirs = holes(library(v2.RandomErasing(0.8, scale=(0.02, 0.33), ratio=(1 / 3.3, 3.3)), x))
    assert abs(len(ours) - len(theirs)) < 4 * math.sqrt(2 * COUNT * 0.8 * 0.2)
    for of in (lambda b: b[:, 2] * b[:, 3], lambda b: b[:, 3] / b[:, 2], lambda b: b[:, 0], lambda b: b[:, 1]):
        assert apart(of(ours), of(theirs)) < 1


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0])
def test_weights_of_a_mix(alpha: float):
    """Two images, one all 0 and one all 1: what becomes of the first is the share of the second, in every batch anew."""
    two = torch.stack([torch.zeros(3, 24, 24), torch.ones(3, 24, 24)])
    labels = torch.tensor([0, 1])
    for ours, theirs in (
        (Mixup(alpha=alpha), v2.MixUp(alpha=alpha, num_classes=2)),
        (Cutmix(alpha=alpha), v2.CutMix(alpha=alpha, num_classes=2)),
    ):
        mine = torch.stack([ours.batch(Batch(two, labels, labels), moment(step, TASK)).x[0].mean() for step in range(1000)])
        other = torch.stack([theirs(two, labels)[0][0].mean() for _ in range(1000)])
        assert apart(mine, other) < 1


def test_mixed_image_by_image_each_has_a_weight_of_its_own():
    """timm's `elem`: the weights of one batch are a sample of the distribution that torchvision draws once a batch from."""
    x = (torch.arange(COUNT) % 2).float().view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    mixed = Mixup(alpha=0.4, per="sample").batch(batch(x), moment(task=TASK)).y
    theirs = torch.stack([v2.MixUp(alpha=0.4, num_classes=2)(x[:2], torch.tensor([0, 1]))[1][0] for _ in range(COUNT)])
    ours = mixed[(mixed > 0).all(1)]
    assert len(ours) > COUNT / 3
    within = theirs[(theirs > 0).all(1)]
    assert apart(ours.max(1).values, within.max(1).values) < 1


@pytest.mark.parametrize("knob", ["brightness", "contrast"])
def test_factors_of_colours(knob: str):
    """Two greys so near the middle that nothing is clipped: their mean tells brightness, their distance contrast."""
    x = torch.tensor([0.4, 0.6]).view(1, 1, 1, 2).expand(COUNT, 3, 1, 2)
    off = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
    ours = ColorJitter(**{**off, knob: 0.4}).batch(batch(x), moment(task=TASK)).x[:, 0, 0]
    theirs = library(v2.ColorJitter(**{knob: 0.4}), x)[:, 0, 0]
    for of in (lambda greys: greys.mean(1), lambda greys: greys[:, 1] - greys[:, 0]):
        assert apart(of(ours).round(decimals=5), of(theirs).round(decimals=5)) < 1
    assert len(ours[:, 1].unique()) > COUNT / 2, "for each image"


def test_factors_of_saturation_and_hue():
    x = torch.tensor([0.6, 0.5, 0.4]).view(1, 3, 1, 1).expand(COUNT, 3, 1, 1)
    ours = ColorJitter(brightness=0, contrast=0, saturation=0.5).batch(batch(x), moment(task=TASK)).x[:, 0]
    assert apart(ours, library(v2.ColorJitter(saturation=0.5), x)[:, 0]) < 1
    ours = ColorJitter(brightness=0, contrast=0, saturation=0, hue=0.1).batch(batch(x), moment(task=TASK)).x[:, 1]
    assert apart(ours, library(v2.ColorJitter(hue=0.1), x)[:, 1]) < 1


def test_angles():
    """A wedge that only a turn moves: the column of the mass tells the angle."""
    x = torch.zeros(COUNT, 3, 24, 24)
    x[:, :, :6, 10:14] = 1
    line = torch.arange(24.0) - 11.5

    def column(turned: Tensor) -> Tensor:
        return (turned[:, 0] * line).sum((1, 2)) / turned[:, 0].sum((1, 2))

    ours = column(Rotation(degrees=30).batch(batch(x), moment(task=TASK)).x)
    theirs = column(library(v2.RandomRotation(30, interpolation=v2.InterpolationMode.BILINEAR), x))
    assert apart(ours, theirs) < 1 < apart(0.8 * ours, theirs)
