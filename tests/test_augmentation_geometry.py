"""Moves, crops and turns against slices and against torchvision's functions with the same parameters, image by image."""

import math

import pytest
import torch
from kit import COLOUR, images, moment, parts
from torch import nn
from torch.nn import functional
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as library

from cockpit.engine.randomness import stream
from cockpit.tricks.augmentation.crops import RandomResizedCrop, bicubic, bilinear, cut
from cockpit.tricks.augmentation.moves import RandomCrop, RandomFlip
from cockpit.tricks.augmentation.turns import Affine, Rotation, motion, warp


def pictures(count=64, height=16, width=16):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def given(count=64):
    return images(COLOUR).take(torch.arange(count))


@pytest.mark.parametrize(("axis", "flip"), [("horizontal", library.horizontal_flip), ("vertical", library.vertical_flip)])
def test_the_flip_is_drawn_for_each_image(axis, flip):
    plain = given()
    flipped = RandomFlip(axis=axis).batch(plain, moment(task=COLOUR)).x
    mirrored = (flipped == flip(plain.x)).flatten(1).all(1)
    untouched = (flipped == plain.x).flatten(1).all(1)
    assert (mirrored ^ untouched).all() and 15 < int(mirrored.sum()) < 50


def test_an_alternating_flip_shows_both_sides_in_any_two_epochs():
    plain = given()
    plug = RandomFlip(mode="alternating").plug(parts(nn.Identity(), COLOUR))
    sides = [plug.batch(plain, moment(step, COLOUR)).x for step in (0, 9, 10, 20)]  # 10 steps an epoch
    assert torch.equal(sides[0], sides[1]) and torch.equal(sides[0], sides[3])
    assert torch.equal(sides[2], library.horizontal_flip(sides[0]))
    mirrored = (sides[0] != plain.x).flatten(1).any(1)
    assert 15 < int(mirrored.sum()) < 50
    some = plain._replace(x=plain.x[40:], y=plain.y[40:], ids=plain.ids[40:])
    assert torch.equal(plug.batch(some, moment(0, COLOUR)).x, sides[0][40:])


@pytest.mark.parametrize("mode", ["reflect", "zeros"])
def test_the_crop_equals_slices_of_the_padded_image(mode):
    plain = given()
    cropped = RandomCrop(pad=2, mode=mode).batch(plain, moment(task=COLOUR)).x
    shift = torch.randint(0, 5, (2, 64, 1), generator=stream(0, "random_crop", 0))[:, :, 0]
    padded = functional.pad(plain.x, (2,) * 4, mode="reflect" if mode == "reflect" else "constant")
    for image in range(64):
        row, column = int(shift[0, image]), int(shift[1, image])
        assert torch.equal(cropped[image], padded[image, :, row : row + 16, column : column + 16])
    assert len({tuple(pair) for pair in shift.T.tolist()}) > 15


def test_a_crop_without_a_border_changes_nothing_and_a_wide_one_fits_small_images():
    plain = given()
    assert torch.equal(RandomCrop(pad=0).batch(plain, moment(task=COLOUR)).x, plain.x)
    tiny = plain._replace(x=plain.x[:, :, :3, :3])
    assert RandomCrop(pad=16).batch(tiny, moment(task=COLOUR)).x.shape == (64, 3, 3, 3)


@pytest.mark.parametrize("target", [(16, 20), (8, 10), (24, 30), (5, 31)])
@pytest.mark.parametrize("cubic", [False, True])
def test_the_resized_crop_is_that_of_the_library(target, cubic):
    x = pictures(height=16, width=20)
    boxes = RandomResizedCrop().boxes(torch.rand(22, 64, generator=torch.Generator().manual_seed(1)), 16, 20)
    boxes[:, 0] = torch.tensor([0, 0, 16, 20])  # the whole image
    boxes[:, 1] = torch.tensor([15, 19, 1, 1])  # its last pixel
    ours = cut(x, boxes, target, cubic)
    mode = InterpolationMode.BICUBIC if cubic else InterpolationMode.BILINEAR
    for image, box in enumerate(boxes.T.int().tolist()):
        theirs = library.resized_crop(x[image], *box, list(target), interpolation=mode, antialias=True)
        torch.testing.assert_close(ours[image], theirs.clamp(0, 1), atol=2e-5, rtol=0)


def test_the_kernels_interpolate():
    whole = torch.arange(-3.0, 4.0)
    for kernel in (bilinear, bicubic):
        assert torch.equal(kernel(whole), (whole == 0).float())
        between = torch.arange(-3, 4) + 0.3
        assert float(kernel(between).sum()) == pytest.approx(1)


def test_the_boxes_have_the_area_and_the_shape_that_were_asked_for():
    crop, draws = (
        RandomResizedCrop(scale_min=0.2, ratio_max=1.5),
        torch.rand(22, 4000, generator=torch.Generator().manual_seed(0)),
    )
    top, left, tall, wide = crop.boxes(draws, 200, 200)
    assert (top >= 0).all() and (left >= 0).all() and (top + tall <= 200).all() and (left + wide <= 200).all()
    assert all(torch.equal(side, side.round()) for side in (top, left, tall, wide))
    area, shape = tall * wide / 200**2, wide / tall
    assert 0.19 < float(area.min()) < 0.21 and 0.5 < float(area.mean()) < 0.62
    assert math.log(1.5) * 0.9 < float(shape.log().max()) < math.log(1.55)
    assert abs(float(shape.log().mean())) < 0.02  # as often wide as tall
    assert (top == 0).any() and (top + tall == 200).any() and (left == 0).any() and (left + wide == 200).any()


def test_a_resized_crop_has_the_size_that_was_asked_for_and_refuses_what_the_network_cannot_take():
    assert RandomResizedCrop(size=24).batch(given(), moment(task=COLOUR)).x.shape == (64, 3, 24, 24)
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))
    assert RandomResizedCrop().plug(parts(mlp, COLOUR))
    with pytest.raises(ValueError, match="cannot take images of 24x24: it is built for 16x16"):
        RandomResizedCrop(size=24).plug(parts(mlp, COLOUR))


@pytest.mark.parametrize("size", [(16, 16), (16, 24)])
def test_the_affine_map_is_that_of_the_library(size):
    draws = 2 * torch.rand(5, 32, generator=torch.Generator().manual_seed(3)) - 1
    turn, right, down, scale, shear = draws * torch.tensor([180, 5, 5, 0.5, 45])[:, None]
    scale = 1 + scale
    x = pictures(32, *size)
    ours = warp(x, motion(turn, right, down, scale, shear, size))
    for image in range(32):
        theirs = library.affine(
            x[image],
            angle=float(turn[image]),
            translate=[float(right[image]), float(down[image])],
            scale=float(scale[image]),
            shear=[float(shear[image]), 0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(ours[image], theirs, atol=1e-4, rtol=0)


def test_the_rotation_turns_each_image_by_its_own_angle():
    plain = given()
    turned = Rotation(degrees=90).batch(plain, moment(task=COLOUR)).x
    angles = (2 * torch.rand(64, generator=stream(0, "rotation", 0)) - 1) * 90
    for image in range(64):
        theirs = library.affine(plain.x[image], float(angles[image]), [0, 0], 1.0, [0, 0], InterpolationMode.BILINEAR)
        torch.testing.assert_close(turned[image], theirs, atol=1e-4, rtol=0)
    assert float(angles.min()) < -60 and float(angles.max()) > 60


def test_a_quarter_turn_and_a_whole_pixel_lose_nothing():
    x, one = pictures(1), torch.ones(1)
    quarter = warp(x, motion(90 * one, 0 * one, 0 * one, one, 0 * one, (16, 16)))
    torch.testing.assert_close(quarter, x.rot90(-1, (2, 3)), atol=1e-4, rtol=0)
    moved = warp(x, motion(0 * one, 3 * one, -2 * one, one, 0 * one, (16, 16)))
    torch.testing.assert_close(moved[:, :, :14, 3:], x[:, :, 2:, :13], atol=1e-4, rtol=0)
    assert (moved[:, :, :, :3] == 0).all() and (moved[:, :, 14:] == 0).all()


def test_an_affine_trick_without_amounts_changes_nothing():
    plain = given()
    still = Affine(degrees=0, translate=0, scale=0, shear=0).batch(plain, moment(task=COLOUR)).x
    torch.testing.assert_close(still, plain.x, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("knobs", "sign"),
    [({"degrees": 30}, "turn"), ({"translate": 0.3}, "move"), ({"scale": 0.4}, "grow"), ({"shear": 30}, "slant")],
)
def test_each_amount_of_the_affine_trick_works_alone(knobs, sign):
    """A disc in the middle keeps its place unless it moves, its area unless it grows, and its roundness unless it slants."""
    line = torch.arange(32) - 15.5
    disc = ((line[:, None] ** 2 + line[None] ** 2) < 64).float().expand(40, 3, -1, -1)
    off = {"degrees": 0, "translate": 0, "scale": 0, "shear": 0}
    batch = given(40)._replace(x=disc)
    out = Affine(**{**off, **knobs}).batch(batch, moment(task=COLOUR)).x[:, 0]
    mass = out.sum((1, 2))
    middle = torch.stack([(out * line[:, None]).sum((1, 2)), (out * line).sum((1, 2))]) / mass
    lean = (out * line[:, None] * line).sum((1, 2)) / mass
    assert bool(middle.abs().max() > 2) == (sign == "move")
    assert bool((mass / disc[0, 0].sum() - 1).abs().max() > 0.1) == (sign == "grow")
    assert bool(lean.abs().max() > 2) == (sign in ("slant", "move"))
