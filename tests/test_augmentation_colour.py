"""Colours and holes against torchvision's functions, plain twins and counts."""

import pytest
import torch
from kit import COLOUR, DIGITS, images, moment, parts
from torch import nn
from torchvision.transforms.v2 import functional as library

from cockpit.engine.randomness import stream
from cockpit.tricks.augmentation.colour import ColorJitter, GaussianNoise, PcaLighting, grey, shift_hue
from cockpit.tricks.augmentation.holes import Cutout, RandomErasing


def given(count=64, task=COLOUR):
    return images(task).take(torch.arange(count))


def draws_of(count):
    return (2 * torch.rand(4, count, 1, 1, 1, generator=stream(0, "color_jitter", 0)) - 1).flatten(1)


@pytest.mark.parametrize(
    ("knob", "adjust", "row"),
    [
        ("brightness", library.adjust_brightness, 0),
        ("contrast", library.adjust_contrast, 1),
        ("saturation", library.adjust_saturation, 2),
        ("hue", library.adjust_hue, 3),
    ],
)
def test_each_part_of_the_jitter_is_that_of_the_library(knob, adjust, row):
    plain, most = given(), 0.5 if knob == "hue" else 0.9
    off = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    ours = ColorJitter(**{**off, knob: most}).batch(plain, moment(task=COLOUR)).x
    amounts = draws_of(64)[row] * most + (knob != "hue")
    for image in range(64):
        torch.testing.assert_close(ours[image], adjust(plain.x[image], float(amounts[image])), atol=1e-5, rtol=1e-4)
    assert float(amounts.max() - amounts.min()) > 0.8 * 2 * most


def test_the_parts_of_the_jitter_follow_each_other():
    plain = given(8)
    ours = ColorJitter(hue=0.2).batch(plain, moment(task=COLOUR)).x
    brightness, contrast, saturation, hue = draws_of(8)
    for image, x in enumerate(plain.x):
        for adjust, amount in (
            (library.adjust_brightness, 1 + 0.4 * brightness[image]),
            (library.adjust_contrast, 1 + 0.4 * contrast[image]),
            (library.adjust_saturation, 1 + 0.4 * saturation[image]),
            (library.adjust_hue, 0.2 * hue[image]),
        ):
            x = adjust(x, float(amount))
        torch.testing.assert_close(ours[image], x, atol=2e-5, rtol=1e-4)


def test_the_jitter_of_one_channel_is_that_of_the_library():
    plain = given(16, DIGITS)
    ours = ColorJitter(brightness=0, saturation=1, hue=0.5).batch(plain, moment()).x
    for image in range(16):
        factor = 1 + 0.4 * float(draws_of(16)[1, image])
        torch.testing.assert_close(ours[image], library.adjust_contrast(plain.x[image], factor), atol=1e-5, rtol=1e-4)


def test_hue_leaves_grey_alone_and_comes_round():
    grey_ones = torch.rand(4, 1, 5, 5).expand(-1, 3, -1, -1)
    colours = torch.rand(4, 3, 5, 5)
    torch.testing.assert_close(shift_hue(grey_ones, torch.full((4, 1, 1, 1), 0.3)), grey_ones)
    torch.testing.assert_close(shift_hue(colours, torch.ones(4, 1, 1, 1)), colours, atol=1e-5, rtol=0)
    thirds = shift_hue(colours, torch.full((4, 1, 1, 1), 1 / 3))
    torch.testing.assert_close(thirds, colours.roll(1, 1), atol=1e-5, rtol=0)  # red becomes green
    torch.testing.assert_close(grey(colours), library.rgb_to_grayscale(colours), atol=1e-6, rtol=0)


def test_lighting_is_that_of_a_plain_twin():
    train = images(COLOUR, 40)
    mix = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])  # noise alone would have no directions
    train.pixels.copy_(torch.einsum("nchw,dc->ndhw", train.pixels.float(), mix).byte())
    plain = train.take(torch.arange(40))
    ours = PcaLighting(std=0.2).plug(parts(nn.Identity(), COLOUR, train)).batch(plain, moment(task=COLOUR)).x
    shift = ours - plain.x
    torch.testing.assert_close(shift, shift[:, :, :1, :1].expand_as(shift), atol=1e-6, rtol=0)

    colours = plain.x.permute(0, 2, 3, 1).reshape(-1, 3).double()
    covariance = torch.cov(colours.T, correction=0)
    amounts = 0.2 * torch.randn(40, 3, generator=stream(0, "pca_lighting", 0)).double()
    values, vectors = torch.linalg.eigh(covariance)
    for image in range(40):
        want = sum(amounts[image, k] * values[k].sqrt() * vectors[:, k] for k in range(3))
        got = shift[image, :, 0, 0].double()
        # A direction may point either way, so compare what cannot: the length along each.
        torch.testing.assert_close((vectors.T @ got).abs(), (vectors.T @ want).abs(), atol=1e-5, rtol=1e-3)
    assert float(values[2] / values[0]) > 5, "the directions must differ in length for this to mean anything"


def test_lighting_fits_in_chunks_and_keeps_its_directions(monkeypatch):
    from cockpit.tricks.augmentation import colour

    train = images(COLOUR, 40)
    whole = colour.directions_of(train)
    monkeypatch.setattr(colour, "FIT_CHUNK", 7)
    torch.testing.assert_close(colour.directions_of(train).abs(), whole.abs(), atol=1e-6, rtol=1e-3)
    plug, other = (PcaLighting().plug(parts(nn.Identity(), COLOUR, images(COLOUR, 40, seed))) for seed in (0, 1))
    other.load_state_dict(plug.state_dict())
    plain = given()
    assert torch.equal(other.batch(plain, moment(task=COLOUR)).x, plug.batch(plain, moment(task=COLOUR)).x)


def test_lighting_refuses_images_without_colour():
    with pytest.raises(ValueError, match="pca_lighting: needs colour"):
        PcaLighting().plug(parts(nn.Identity(), DIGITS))


def test_noise_has_its_spread_and_stays_in_range():
    middle = given()._replace(x=torch.full((64, 3, 16, 16), 0.5))
    noise = GaussianNoise(sigma=0.05).batch(middle, moment(task=COLOUR)).x - 0.5
    assert abs(float(noise.std()) - 0.05) < 0.001 and abs(float(noise.mean())) < 0.001
    loud = GaussianNoise(sigma=1.0).batch(middle, moment(task=COLOUR)).x
    assert float(loud.min()) == 0 and float(loud.max()) == 1


def holes_of(x):
    """Whether each pixel of images of ones was overwritten."""
    return (x != 1).any(1)


def ones(count=400, side=16):
    return given(1)._replace(x=torch.ones(count, 3, side, side), y=torch.zeros(count), ids=torch.arange(count))


def box_of(hole):
    rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@pytest.mark.parametrize("size", [1, 4, 5, 40])
def test_cutout_is_a_square_of_its_size_cut_off_at_the_border(size):
    out = Cutout(size=size).batch(ones(), moment(task=COLOUR)).x
    inner = 0
    for image, hole in zip(out, holes_of(out), strict=True):
        top, bottom, left, right = box_of(hole)
        assert hole.sum() == (bottom - top) * (right - left), "one rectangle"
        assert (image[:, hole] == 0).all()
        assert bottom - top <= size and right - left <= size
        assert bottom - top == size or top == 0 or bottom == 16
        inner += (bottom - top, right - left) == (size, size)
    share = (max(0, 16 - size + 1) / 16) ** 2  # centres from which the whole square fits
    assert abs(inner / 400 - share) < 0.1


def test_cutout_touches_a_share_of_the_images():
    touched = holes_of(Cutout(p=0.3).batch(ones(), moment(task=COLOUR)).x).flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.3) < 0.07


@pytest.mark.parametrize("fill", ["const", "rand", "pixel"])
def test_erasing_overwrites_one_rectangle_of_a_share_of_the_images(fill):
    out = RandomErasing(p=0.6, area_max=0.3, fill=fill).batch(ones(side=32), moment(task=COLOUR)).x
    holes = holes_of(out)
    touched = holes.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.6) < 0.07
    areas, shapes, values = [], [], []
    for image, hole in zip(out[touched], holes[touched], strict=True):
        top, bottom, left, right = box_of(hole)
        assert hole.sum() == (bottom - top) * (right - left)
        areas.append(int(hole.sum()) / 32**2)
        shapes.append((bottom - top) / (right - left))
        inside = image[:, hole]
        values.append(inside.flatten())
        if fill == "rand":
            assert torch.equal(inside, inside[:, :1].expand_as(inside)) and inside[:, 0].unique().numel() == 3
    assert 0.01 < min(areas) < 0.04 and 0.25 < max(areas) < 0.34
    assert min(shapes) < 0.5 and max(shapes) > 2
    spread = torch.cat(values).std()
    assert float(spread) == 0 if fill == "const" else 0.8 < float(spread) < 1.2


def test_erasing_draws_other_noise_for_every_pixel():
    out = RandomErasing(p=1.0).batch(ones(8), moment(task=COLOUR)).x
    erased = out[out != 1]
    assert erased.unique().numel() == erased.numel()
