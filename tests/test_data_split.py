"""Split, statistics, duplicates, vault."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cockpit.datasets.base import DataError, Dataset, Images, Places, Sealed
from cockpit.engine.data.duplicates import count_duplicates, digests
from cockpit.engine.data.load import load
from cockpit.engine.data.split import cut, limited
from cockpit.engine.data.statistics import statistics
from cockpit.engine.data.vault import Vault
from cockpit.families import Source


def names(count: int) -> tuple[str, ...]:
    return tuple(f"c{each}" for each in range(count))


def imbalanced(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(6), [403, 501, 410, 594, 482, 137]))


def images(labels: np.ndarray, seed: int = 0) -> Images:
    return Images(np.random.default_rng(seed).integers(0, 256, (len(labels), 3, 4, 4)).astype(np.uint8), labels)


@dataclasses.dataclass(frozen=True)
class Given(Source):
    """A source whose images are given."""

    data: Dataset | None = None

    def read(self, places: Places) -> Dataset:
        assert self.data
        return self.data


def dataset(train: Images, test: Images, **more: object) -> Dataset:
    return Dataset("given", names(int(train.labels.max()) + 1), 1 / 255, train, Sealed(len(test), lambda: test), **more)  # type: ignore[arg-type]


def test_the_split_is_pinned() -> None:
    # These indices may never change: runs are compared across versions.
    labels = np.arange(30) % 3
    assert np.flatnonzero(cut(labels, names(3), 0.2, seed=0)).tolist() == PINNED[0]
    assert np.flatnonzero(cut(labels, names(3), 0.2, seed=1)).tolist() == PINNED[1]
    assert np.flatnonzero(limited(labels, names(3), 6, seed=0)).tolist() == PINNED[0]


PINNED = {0: [1, 3, 11, 13, 20, 21], 1: [2, 9, 14, 16, 18, 28]}


@pytest.mark.parametrize("val", [0.1, 0.33, 200])
def test_classes_keep_their_shares_as_in_scikit_learn(val: float) -> None:
    from sklearn.model_selection import train_test_split

    labels = imbalanced()
    ours = cut(labels, names(6), val, seed=3)
    size = round(val * len(labels)) if val < 1 else int(val)
    _, theirs = train_test_split(labels, test_size=size, stratify=labels, random_state=0)
    assert ours.sum() == size
    assert np.abs(np.bincount(labels[ours]) - np.bincount(theirs)).max() <= 1


def test_every_class_is_on_both_sides_unless_it_has_one_image() -> None:
    labels = np.repeat(np.arange(4), [1, 2, 3, 1000])
    held = cut(labels, names(4), 0.01, seed=0)
    assert np.bincount(labels[held], minlength=4).tolist() == [0, 1, 1, 8]
    most = cut(labels, names(4), 1002, seed=0)
    assert np.bincount(labels[~most], minlength=4).tolist() == [1, 1, 1, 1]


def test_a_smaller_limit_is_part_of_a_larger_one() -> None:
    labels = imbalanced()
    small, large = (limited(labels, names(6), count, seed=0) for count in (100, 400))
    assert (small.sum(), large.sum()) == (100, 400)
    assert not (small & ~large).any()
    assert limited(labels, names(6), 10_000, seed=0).all()


@pytest.mark.parametrize(
    ("val", "words"),
    [
        (0, "data.val: 0 leaves nothing to validate on; take a share such as 0.1"),
        (2.5, "data.val: 2.5 is neither a share below 1 nor a whole number of images"),
        (2, "data.val: 2 images cannot show every class; take at least 3"),
        (30, "data.val: 30 of 30 training images would leave a class without any; at most 27 can go"),
        (0.99, "data.val: 30 of 30 training images would leave a class without any; at most 27 can go"),
    ],
)
def test_impossible_splits_are_refused(val: float, words: str) -> None:
    with pytest.raises(DataError) as error:
        cut(np.arange(30) % 3, names(3), val, seed=0)
    assert str(error.value) == words


def test_an_impossible_limit_and_an_empty_class_are_refused() -> None:
    labels = np.arange(30) % 3
    with pytest.raises(DataError, match=r"data\.limit: 2 images cannot show all 3 classes; take at least 3"):
        limited(labels, names(3), 2, seed=0)
    with pytest.raises(DataError, match="no training images of c3"):
        cut(labels, names(4), 0.1, seed=0)


def test_statistics_are_those_of_the_floats() -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (5000, 3, 16, 16)).astype(np.uint8)
    seen = statistics(pixels, 1 / 255)
    floats = pixels.astype(np.float64) / 255
    np.testing.assert_allclose(seen.mean, floats.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(seen.std, floats.std((0, 2, 3)), rtol=1e-10)
    assert seen.constant == ()


def test_a_constant_channel_is_only_centred() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 2, 4, 4)).astype(np.uint8)
    pixels[:, 1] = 7
    seen = statistics(pixels, 1 / 255)
    assert (seen.mean[1], seen.std[1], seen.constant) == (pytest.approx(7 / 255), 1.0, (1,))
    train = Images(pixels, np.arange(50) % 2)
    notes = load(Given(data=dataset(train, train)), Places(Path())).notes
    assert notes == ("channel 1 is (nearly) the same in every training image; it is only centred",)


def test_only_the_training_split_is_measured() -> None:
    train = images(np.arange(60) % 3)
    loaded = load(Given(data=dataset(train, train), limit=30, val=0.2), Places(Path()))
    assert (len(loaded.train), len(loaded.val)) == (30, 12)
    np.testing.assert_allclose(loaded.mean, loaded.train.pixels.mean((0, 2, 3)) / 255, rtol=1e-12)
    assert not set(digests(loaded.train.pixels)) & set(digests(loaded.val.pixels))
    assert loaded.facts.train_counts == (10, 10, 10)
    assert loaded.facts.val_counts == (4, 4, 4)


def test_a_source_with_its_own_validation_set_keeps_it() -> None:
    train, val = images(np.arange(30) % 3), images(np.arange(9) % 3, seed=1)
    loaded = load(Given(data=dataset(train, train, val=val), val=0.5), Places(Path()))
    assert (len(loaded.train), len(loaded.val)) == (30, 9)
    assert loaded.notes == ("given has its own 9 validation images; data.val is not used",)


def test_duplicates_are_counted_as_a_plain_count_does() -> None:
    draws = np.random.default_rng(0)
    few = draws.integers(0, 256, (40, 1, 3, 3)).astype(np.uint8)
    train, val, test = (Images(few[draws.integers(0, 40, count)], np.zeros(count, np.int64)) for count in (30, 10, 20))
    vault = Vault(Sealed(20, lambda: test), (1, 3, 3), 1)

    def plain(part: Images) -> list[tuple[int, ...]]:
        return [tuple(image.ravel().tolist()) for image in part.pixels]

    assert count_duplicates(train, val, vault) == {
        "train": sum(count - 1 for count in Counter(plain(train)).values()),
        "train_val": sum(image in plain(train) for image in plain(val)),
        "train_test": sum(image in plain(train) for image in plain(test)),
        "val_test": sum(image in plain(val) for image in plain(test)),
    }


def test_the_vault_opens_the_source_once_and_keeps_no_images() -> None:
    test = images(np.arange(6) % 2)
    opened: list[int] = []

    def door() -> Images:
        opened.append(1)
        return test

    vault = Vault(Sealed(6, door), (3, 4, 4), 2)
    assert (vault.count, opened) == (6, [])
    hashes = set(digests(test.pixels[:4]))
    assert (vault.overlap(hashes), vault.overlap(set())) == (4, 0)
    assert opened == [1]
    assert not any(isinstance(held, Images | np.ndarray) for held in vars(vault).values())
    np.testing.assert_array_equal(vault.open_for_look().pixels, test.pixels)


def test_a_test_set_that_does_not_fit_is_refused() -> None:
    test = images(np.arange(6))
    with pytest.raises(DataError, match="the test images are 4x4 with 3 channels, the training images 5x5 with 1 channel"):
        Vault(Sealed(6, lambda: test), (1, 5, 5), 6).open_for_look()
    with pytest.raises(DataError, match="test labels run from 0 to 5, classes from 0 to 2"):
        Vault(Sealed(6, lambda: test), (3, 4, 4), 3).open_for_look()
