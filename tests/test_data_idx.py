"""The idx reader and the three sets that use it."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from cockpit.datasets import idx, idx_sets
from cockpit.datasets.base import DataError, Dataset, Places
from cockpit.datasets.idx_sets import FASHION_MNIST, FILES, KMNIST, MNIST, IdxSet
from cockpit.engine.data.load import load
from cockpit.tricks.data import FashionMnist, Mnist

real = pytest.mark.skipif("COCKPIT_DATA" not in os.environ, reason="COCKPIT_DATA names no folder with the real files")


def packed(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_set(folder: Path, *, zipped: bool = False, train: int = 30, test: int = 10) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", train), ("t10k", test)):
        arrays[f"{name}-images-idx3-ubyte"] = draws.integers(0, 60, (count, 5, 4)).astype(np.uint8)
        arrays[f"{name}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for name, values in arrays.items():
        data = packed(values)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
    return arrays


def read(which: IdxSet, root: Path) -> Dataset:
    return idx_sets.read(which, Places(root, download=False))


def fault(which: IdxSet, root: Path) -> str:
    with pytest.raises(DataError) as error:
        read(which, root)
    return str(error.value)


@pytest.mark.parametrize("zipped", [False, True])
def test_it_reads_what_torchvision_reads(tmp_path: Path, zipped: bool) -> None:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    write_set(tmp_path / "plain" / "MNIST" / "raw")
    write_set(tmp_path / "mnist", zipped=zipped)
    ours = read(MNIST, tmp_path / "mnist")
    test = ours.sealed.open()
    for half, images in (("train", ours.train), ("t10k", test)):
        folder = tmp_path / "plain" / "MNIST" / "raw"
        theirs = read_image_file(str(folder / f"{half}-images-idx3-ubyte")).numpy()
        np.testing.assert_array_equal(images.pixels[:, 0], theirs)
        labels = read_label_file(str(folder / f"{half}-labels-idx1-ubyte")).numpy()
        np.testing.assert_array_equal(images.labels, labels)
    assert ours.train.pixels.flags.writeable
    assert ours.sealed.count == len(test) == 10


@pytest.mark.parametrize(
    "place", ["", "fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "deep/er/Fashion-MNIST", "downloads", "mnist/fashion"]
)
def test_files_are_found_anywhere(tmp_path: Path, place: str) -> None:
    write_set(tmp_path / place)
    assert len(read(FASHION_MNIST, tmp_path).train) == 30


def test_the_folder_of_that_name_wins_and_those_of_other_sets_are_passed_over(tmp_path: Path) -> None:
    for count, place in enumerate(["a", "kmnist", "mnist", "FashionMNIST/raw"]):
        write_set(tmp_path / place, train=20 + count)
    assert len(read(MNIST, tmp_path).train) == 22
    assert len(read(FASHION_MNIST, tmp_path).train) == 23
    assert len(read(KMNIST, tmp_path).train) == 21


def test_other_sets_do_not_stand_in(tmp_path: Path) -> None:
    write_set(tmp_path / "fashion-mnist")
    assert fault(MNIST, tmp_path) == (
        f"MNIST is not complete under {tmp_path}: put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
        f"t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz (or unzipped) into {tmp_path / 'mnist'} "
        "(downloads are switched off)"
    )


def test_a_partial_set_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "kmnist"
    write_set(folder)
    (folder / FILES[3]).unlink()
    assert fault(KMNIST, tmp_path) == (
        f"KMNIST is not complete under {tmp_path}: put t10k-labels-idx1-ubyte.gz (or unzipped) into {folder} "
        "(downloads are switched off)"
    )


def test_a_spelling_with_a_dot_is_the_same_file(tmp_path: Path) -> None:
    write_set(tmp_path)
    for name in FILES:
        (tmp_path / name).rename(tmp_path / name.replace("-idx", ".idx"))
    assert len(read(MNIST, tmp_path).train) == 30


def test_an_unknown_checksum_is_noted(tmp_path: Path) -> None:
    write_set(tmp_path / "mnist")
    assert read(MNIST, tmp_path).notes == (
        f"train-images-idx3-ubyte, train-labels-idx1-ubyte in {tmp_path / 'mnist'}: "
        "checksum not known, so perhaps not the original MNIST",
    )


def test_the_mean_pixel_betrays_another_set(tmp_path: Path) -> None:
    write_set(tmp_path / "mnist")
    (tmp_path / "mnist" / FILES[0]).write_bytes(packed(np.full((30, 5, 4), 73, np.uint8)))
    assert read(MNIST, tmp_path).notes[1].endswith("is 0.286, as in Fashion-MNIST; MNIST has 0.131")


def test_broken_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    images, labels = folder / FILES[0], folder / FILES[1]

    def after(path: Path, data: bytes) -> str:
        write_set(folder)
        path.write_bytes(data)
        return fault(MNIST, tmp_path)

    whole = packed(np.zeros((30, 5, 4), np.uint8))
    renew = "remove it, and it is downloaded again where there is a network"
    assert after(images, whole[:-7]) == f"{images} is cut short: 609 bytes where its header promises 616; {renew}"
    assert after(images, whole + b"x") == f"{images} is too long: 617 bytes where its header promises 616; {renew}"
    assert after(images, whole[:9]) == f"{images} is cut short inside its header; {renew}"
    assert after(images, b"") == f"{images} is no idx file of bytes: it begins with nothing, not 00 00 08 03"
    assert after(images, b"<html>") == f"{images} is no idx file of bytes: it begins with 3c 68 74 6d, not 00 00 08 03"
    assert after(images, packed(np.zeros(9, np.uint8))) == (
        f"{images} has 1 dimension where 3 belong: are images and labels swapped?"
    )
    assert after(images, gzip.compress(whole)[:-9]) == f"{images} is a gzip file that is cut short or damaged; {renew}"
    assert after(labels, packed(np.zeros(29, np.uint8))) == (
        f"{labels} has 29 labels for the 30 images of {FILES[0]}: the two do not belong together"
    )
    assert after(labels, packed(np.full(30, 11, np.uint8))) == f"{labels} has the label 11; MNIST has classes 0 to 9"


def test_a_broken_test_set_is_named_before_training(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    write_set(folder)
    (folder / FILES[3]).write_bytes(packed(np.full(10, 12, np.uint8)))
    with pytest.raises(DataError, match="has the label 12; MNIST has classes 0 to 9"):
        load(Mnist(), Places(tmp_path, download=False))


def test_counting_reads_the_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for data in (packed(np.zeros((7, 2, 2), np.uint8)), gzip.compress(packed(np.zeros((7, 2, 2), np.uint8)))):
        path.write_bytes(data[:-3])
        assert idx.count(path, 3) == 7


@real
@pytest.mark.parametrize(("source", "mean", "std"), [(Mnist(), 0.1307, 0.3081), (FashionMnist(), 0.2860, 0.3530)])
def test_the_real_sets_have_the_published_statistics(source: Mnist, mean: float, std: float) -> None:
    loaded = load(source, Places(Path(os.environ["COCKPIT_DATA"]), download=False))
    assert (len(loaded.train), len(loaded.val), loaded.vault.count) == (54_000, 6_000, 10_000)
    assert loaded.notes == ()
    assert loaded.mean[0] == pytest.approx(mean, abs=5e-4)
    assert loaded.std[0] == pytest.approx(std, abs=5e-4)


@real
@pytest.mark.parametrize("unzipped", [False, True])
def test_fashion_files_in_a_folder_of_mnist_are_refused(tmp_path: Path, unzipped: bool) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in FILES:
        zipped = Path(os.environ["COCKPIT_DATA"]) / "fashion-mnist" / (name + ".gz")
        if unzipped:
            (folder / name).write_bytes(gzip.decompress(zipped.read_bytes()))
        else:
            (folder / zipped.name).symlink_to(zipped)
    name = FILES[0] + ("" if unzipped else ".gz")
    assert fault(MNIST, tmp_path) == (
        f"{folder / name} is a file of Fashion-MNIST, not of MNIST: "
        "put each set in a folder of its own, or say data.source: fashion_mnist"
    )
