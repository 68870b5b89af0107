"""The mixing tricks: what share of the pixels comes from whom, and what the labels say of it."""

import numpy as np
import pytest
import torch
from kit import moment
from torch.nn import functional
from torchvision.transforms import v2

from cockpit.recipe import RecipeError, loads
from cockpit.travel import Batch, Moment, Task
from cockpit.tricks.mixing._mix import beta, blend, boxes, cycle, draw, paired, paste
from cockpit.tricks.mixing.blends import Cutmix, Mixup, MixupOrCutmix
from cockpit.tricks.mixing.in_class import AmplitudeMix, SameClassMix, amplitude_mixed, of_one_class

TASK = Task(3, 8, 8, 10)
PER = ["batch", "pair", "sample"]


def at(step: int = 0) -> Moment:
    return moment(step, task=TASK)


def batch(size: int = 64) -> Batch:
    draw = torch.Generator().manual_seed(0)
    return Batch(torch.rand(size, 3, 8, 8, generator=draw), torch.randint(0, 10, (size,), generator=draw), torch.arange(size))


def coded(size: int = 64, height: int = 8, width: int = 8) -> Batch:
    """Images that carry their own class in every pixel, so that the shares can be read off the pixels."""
    plain = batch(size)
    return plain._replace(x=functional.one_hot(plain.y, 10).float().view(-1, 10, 1, 1).expand(-1, 10, height, width))


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("per", PER)
def test_mixup_blends_images_and_labels_by_one_weight(per):
    mixed = Mixup(alpha=1.0, per=per).batch(coded(), at())
    torch.testing.assert_close(mixed.x[:, :, 0, 0], mixed.y)
    torch.testing.assert_close(mixed.y.sum(1), torch.ones(64))
    shares = {round(float(top), 4) for top in mixed.y.max(1).values if top < 0.999}
    assert len(shares) == 1 if per == "batch" else len(shares) > 20


def test_mixup_draws_its_weight_from_the_beta_distribution():
    draws = []
    for step in range(400):
        two = Batch(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]), torch.arange(2))
        draws.append(float(Mixup(alpha=0.2).batch(two, at(step)).y[0, 0]))
    mixed = torch.tensor(draws)
    # Var of Beta(a, a) about 1/2 is 1 / (4 (2a + 1)) = 0.179.
    assert abs(float(mixed.mean()) - 0.5) < 0.08
    assert abs(float(mixed.var()) - 1 / (4 * 1.4)) < 0.03


def test_mixup_leaves_a_share_of_the_batches_alone():
    alone = sum(not Mixup(prob=0.3).batch(batch(4), at(step)).y.is_floating_point() for step in range(300))
    assert 180 < alone < 240


@pytest.mark.parametrize("trick", [Mixup(prob=0.3, per="sample"), Cutmix(prob=0.3, per="sample")])
def test_a_share_of_the_images_is_mixed_where_each_has_its_own_draw(trick):
    plain = batch(1000)
    mixed = trick.batch(plain, at())
    same = (mixed.x == plain.x).flatten(1).all(1)
    assert 650 < int(same.sum()) < 780  # a box may be empty
    assert torch.equal(mixed.y[same], functional.one_hot(plain.y, 10)[same].float())


def test_mixup_is_that_of_torchvision():
    plain, weight = batch(7), 0.3
    theirs = v2.MixUp(alpha=1.0, num_classes=10)
    params = {"labels": plain.y, "batch_size": 7, "lam": weight}
    ours = blend(plain, torch.arange(7).roll(1), torch.full((7,), weight).double(), 10)
    torch.testing.assert_close(ours.x, theirs.transform(plain.x, params))
    torch.testing.assert_close(ours.y, theirs.transform(plain.y, params))


@pytest.mark.parametrize("seed", range(12))
def test_cutmix_is_that_of_torchvision(seed, monkeypatch):
    plain = batch(5)._replace(x=torch.rand(5, 3, 9, 14))
    theirs = v2.CutMix(alpha=1.0, num_classes=10)
    torch.manual_seed(seed)
    params = {"labels": plain.y, "batch_size": 5, **theirs.make_params([plain.x])}
    torch.manual_seed(seed)
    weight, column, row = float(theirs._dist.sample(())), torch.randint(14, (1,)), torch.randint(9, (1,))
    drawn = iter((row, column))
    monkeypatch.setattr(torch, "randint", lambda *_, **__: next(drawn))
    bounds = boxes(torch.full((5,), 1 - weight).double(), torch.zeros(5, dtype=torch.int64), 9, 14, stream())
    assert tuple(bounds[[2, 0, 3, 1], 0].tolist()) == params["box"]
    ours = paste(plain, torch.arange(5).roll(1), bounds, 10)
    assert torch.equal(ours.x, theirs.transform(plain.x, params))
    torch.testing.assert_close(ours.y, theirs.transform(plain.y, params))


@pytest.mark.parametrize("per", PER)
def test_cutmix_labels_are_the_shares_of_the_pixels(per):
    wide = Task(33, 8, 11, 33)
    each = torch.eye(33)  # every image its own class, so that nothing is pasted into its like
    plain = Batch(each.view(33, 33, 1, 1).expand(-1, -1, 8, 11), torch.arange(33), torch.arange(33))
    clipped = 0
    for step in range(20):
        now = moment(step, task=wide)
        mixed = Cutmix(per=per).batch(plain, now)
        torch.testing.assert_close(mixed.x.mean(dim=(2, 3)), mixed.y, atol=1e-6, rtol=0)
        assert set(mixed.x.unique().tolist()) <= {0.0, 1.0}
        shares = len({round(float(own), 5) for own in mixed.y.diagonal()})
        assert shares == 1 if per == "batch" else shares > (5 if per == "pair" else 10)
        replay = now.stream("cutmix")
        drawn = draw(33, 1.0, 1.0, per, replay)
        top, bottom, *_ = boxes(1 - drawn.keep, drawn.unit, 8, 11, replay)
        clipped += int((bottom - top < 2 * ((1 - drawn.keep).sqrt() / 2 * 8).long()).any())
    assert clipped > 5


def test_boxes_have_about_their_share_inside_the_image():
    share = torch.full((4000,), 0.25).double()
    top, bottom, left, right = boxes(share, torch.arange(4000), 32, 64, stream())
    assert int(top.min()) == 0 and int(left.min()) == 0 and int(bottom.max()) == 32 and int(right.max()) == 64
    whole = (top > 0) & (bottom < 32) & (left > 0) & (right < 64)
    assert set((bottom - top)[whole].tolist()) == {16} and set((right - left)[whole].tolist()) == {32}
    assert not (bottom < top).any() and not (right < left).any()


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_partners(size):
    around = cycle(size, stream())
    assert sorted(around.tolist()) == list(range(size))
    assert size == 1 or not (around == torch.arange(size)).any()
    partner, couple = paired(size, stream())
    assert torch.equal(partner[partner], torch.arange(size))
    assert int((partner == torch.arange(size)).sum()) == size % 2
    assert torch.equal(couple[partner], couple) and len(couple.unique()) == (size + 1) // 2


@pytest.mark.parametrize("trick", [Mixup(per="pair"), Cutmix(per="pair")])
def test_pairs_are_mixed_with_each_other(trick):
    plain = coded(6)._replace(y=torch.arange(6))
    mixed = trick.batch(plain._replace(x=functional.one_hot(plain.y, 10).float().view(-1, 10, 1, 1).expand(-1, 10, 8, 8)), at())
    own, other = mixed.y.diagonal(), mixed.y[:, :6].clone().fill_diagonal_(0)
    partner = draw(6, trick.alpha, 1.0, "pair", at().stream(trick.card.name)).partner
    torch.testing.assert_close(own, own[partner])
    torch.testing.assert_close(other.gather(1, partner[:, None])[:, 0], 1 - own)


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("kind", [Mixup, Cutmix])
def test_a_single_image_is_mixed_with_itself(kind, per):
    one = batch(1)
    mixed = kind(per=per).batch(one, at())
    torch.testing.assert_close(mixed.x, one.x)
    torch.testing.assert_close(mixed.y, functional.one_hot(one.y, 10).float())


@pytest.mark.parametrize("kind", [Mixup, Cutmix])
def test_mixing_ends_with_its_epochs(kind):
    plain, trick = batch(), kind(off_epoch=2)
    assert trick.batch(plain, at(19)).y.is_floating_point()
    assert trick.batch(plain, at(20)) is plain
    assert kind().batch(plain, at(99)).y.is_floating_point()


def test_each_batch_is_mixed_one_way():
    cut = whole = 0
    for step in range(300):
        mixed = MixupOrCutmix(switch=0.3, prob=0.8).batch(coded(16), at(step))
        if not mixed.y.is_floating_point():
            continue
        torch.testing.assert_close(mixed.x.mean(dim=(2, 3)), mixed.y, atol=1e-6, rtol=0)
        pure = set(mixed.x.unique().tolist()) <= {0.0, 1.0}
        cut, whole = cut + pure, whole + (not pure)
    assert 200 < cut + whole < 275
    assert 0.22 < cut / (cut + whole) < 0.4


def test_the_share_follows_beta_in_double_precision():
    share = beta(0.05, 20_000, stream())
    assert share.dtype == torch.float64 and not share.isnan().any()
    assert abs(float(share.mean()) - 0.5) < 0.02 and abs(float(share.var()) - 1 / (4 * 1.1)) < 0.01


@pytest.mark.parametrize("size", [1, 2, 63])
def test_same_class_partners_go_round_each_class(size):
    y = torch.randint(0, 9, (size,), generator=stream(size))
    partner = of_one_class(y, stream())
    assert torch.equal(y[partner], y) and sorted(partner.tolist()) == list(range(size))
    alone = torch.bincount(y)[y] == 1
    assert torch.equal(partner == torch.arange(size), alone)


def test_same_class_mix_reaches_every_pair_of_a_class():
    y = torch.tensor([3, 3, 3, 5])
    seen = {tuple(of_one_class(y, stream(seed)).tolist()) for seed in range(40)}
    assert seen == {(1, 2, 0, 3), (2, 0, 1, 3)}


@pytest.mark.parametrize("form", ["mixup", "cutmix"])
def test_same_class_mix_keeps_labels_and_lonely_images(form):
    plain = batch(40)._replace(y=torch.tensor([*([1] * 19), *([2] * 20), 7]))
    brightness = torch.rand(40, generator=stream())
    plain = plain._replace(x=brightness.view(-1, 1, 1, 1).expand(-1, 3, 8, 8))
    mixed = SameClassMix(form=form, prob=1.0).batch(plain, at())
    assert torch.equal(mixed.y, plain.y) and torch.equal(mixed.x[-1], plain.x[-1])
    for label in (1, 2):
        ours, before = mixed.x[plain.y == label], brightness[plain.y == label]
        if form == "cutmix":
            assert torch.isin(ours, before).all()
        assert float(ours.min()) >= float(before.min()) - 1e-6 and float(ours.max()) <= float(before.max()) + 1e-6
    assert int((mixed.x != plain.x).flatten(1).any(1).sum()) > 25
    few = SameClassMix(form=form, prob=0.2).batch(plain, at()).x
    assert int((few != plain.x).flatten(1).any(1).sum()) < 16


def slow_amplitude_mix(x: np.ndarray, other: np.ndarray, share: float, beta: float) -> np.ndarray:
    """One channel, by the whole spectrum."""
    height, width = x.shape
    ours, theirs = np.fft.fft2(x), np.fft.fft2(other)
    most = max(1, int(beta * min(height, width)))
    rows, columns = np.abs(np.fft.fftfreq(height) * height), np.abs(np.fft.fftfreq(width) * width)
    low = (np.round(rows)[:, None] <= most) & (np.round(columns)[None] <= most)
    amplitude = np.where(low, (1 - share) * np.abs(ours) + share * np.abs(theirs), np.abs(ours))
    return np.fft.ifft2(amplitude * np.exp(1j * np.angle(ours))).real


def amplitude_from(x: torch.Tensor, other: torch.Tensor, share: torch.Tensor, beta: float) -> torch.Tensor:
    places = torch.arange(2 * len(x)).roll(len(x))
    return amplitude_mixed(torch.cat([x, other]), places, share.repeat(2), beta)[: len(x)]


@pytest.mark.parametrize("shape", [(8, 8), (7, 12), (1, 5)])
@pytest.mark.parametrize("beta", [0.1, 0.3, 0.5])
def test_the_amplitudes_are_mixed_as_in_the_whole_spectrum(shape, beta):
    x, other = torch.rand(4, 2, *shape), torch.rand(4, 2, *shape)
    share = torch.tensor([0.0, 0.2, 0.7, 1.0])
    mixed = amplitude_from(x, other, share, beta)
    for image in range(4):
        for channel in range(2):
            slow = slow_amplitude_mix(x[image, channel].numpy(), other[image, channel].numpy(), float(share[image]), beta)
            np.testing.assert_allclose(mixed[image, channel].numpy(), slow, atol=1e-5)


def test_an_image_mixed_with_itself_stays_and_its_phases_always_do():
    x, other = torch.rand(5, 3, 8, 10), torch.rand(5, 3, 8, 10)
    share = torch.rand(5)
    torch.testing.assert_close(amplitude_from(x, x, share, 0.4), x, atol=1e-5, rtol=0)
    before, after = torch.fft.fft2(x), torch.fft.fft2(amplitude_from(x, other, share, 0.4))
    turned = (after * before.conj()).angle().abs()
    assert float(turned[after.abs() > 1e-3].max()) < 1e-3


def test_amplitude_mix_spares_some_images_and_all_labels():
    plain = batch(200)
    mixed = AmplitudeMix(prob=0.4).batch(plain, at())
    same = (mixed.x == plain.x).flatten(1).all(1)
    assert 90 < int(same.sum()) < 150 and mixed.y is plain.y
    assert float(mixed.x.min()) >= 0 and float(mixed.x.max()) <= 1
    one = batch(1)
    torch.testing.assert_close(AmplitudeMix(prob=1.0).batch(one, at()).x, one.x, atol=1e-5, rtol=0)
    weak = AmplitudeMix(prob=1.0, strength=0.05).batch(plain, at()).x
    assert float((weak - plain.x).abs().mean()) < 0.02 < float((mixed.x - plain.x)[~same].abs().mean())


def test_one_mix_for_a_batch():
    names = ["mixup", "cutmix", "mixup_or_cutmix", "same_class_mix", "amplitude_mix", "samosa", "mimo", "mixmo"]
    for one in names:
        for two in names:
            if one != two:
                with pytest.raises(RecipeError, match="one mix for a batch"):
                    loads("{}", edits=[f"tricks.{one}=on", f"tricks.{two}=on"])
