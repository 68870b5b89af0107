"""Digits, synthetic, CIFAR, downloads, and the data folder."""

import hashlib
import pickle
import subprocess
import sys
import tarfile
import urllib.error
from pathlib import Path

import numpy as np
import pytest

from cockpit.datasets import cifar, download, idx_sets
from cockpit.datasets.base import DataError, Dataset, Places
from cockpit.datasets.places import data_root, folders
from cockpit.datasets.words import listed, printable
from cockpit.engine.data.load import load
from cockpit.tricks.data import Digits, Synthetic

NOWHERE = Places(Path("nowhere"), download=False)


def test_loading_images_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from cockpit.datasets.base import Places\n"
        "from cockpit.engine.data.load import load\n"
        "from cockpit.tricks.data import Synthetic; load(Synthetic(), Places(Path())); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    data, bunch = Digits().read(NOWHERE), load_digits()
    test = data.sealed.open()
    assert data.train.pixels.shape == (1438, 1, 8, 8)
    assert data.sealed.count == len(test) == 359
    ours = np.concatenate([data.train.pixels, test.pixels])[:, 0] * data.scale
    theirs = bunch.images / 16
    assert sorted(ours.reshape(1797, -1).tolist()) == sorted(theirs.reshape(1797, -1).tolist())
    shares = np.bincount(test.labels) / np.bincount(bunch.target)
    assert np.abs(shares - 0.2).max() < 0.005


def test_the_sealed_digits_never_change() -> None:
    test = Digits().read(NOWHERE).sealed.open()
    assert hashlib.sha256(test.pixels.tobytes() + test.labels.tobytes()).hexdigest() == SEALED_DIGITS


SEALED_DIGITS = "6b09acf320316d72f1a9cc6433ddb081381c0dcc513952f31c0ecb0b7622377d"


def test_synthetic_has_the_shape_that_is_asked_for_and_is_always_the_same() -> None:
    source = Synthetic(classes=7, size=9, channels=2, train=100, test=30)
    data, again = source.read(NOWHERE), source.read(NOWHERE)
    assert data.train.pixels.shape == (100, 2, 9, 9)
    assert data.sealed.open().pixels.shape == (30, 2, 9, 9)
    np.testing.assert_array_equal(data.train.pixels, again.train.pixels)
    np.testing.assert_array_equal(data.sealed.open().pixels, again.sealed.open().pixels)
    other = Synthetic(classes=7, size=9, channels=2, train=100, test=30, seed=1).read(NOWHERE)
    assert (data.train.pixels != other.train.pixels).mean() > 0.9


def nearest(data: Dataset) -> float:
    """Accuracy on the test set of answering with the class whose mean training image is nearest."""
    train, test = data.train, data.sealed.open()
    means = np.stack([train.pixels[train.labels == each].mean(0).ravel() for each in range(len(data.classes))])
    apart = test.pixels.reshape(len(test), 1, -1) - means[None]
    return float((np.square(apart).sum(-1).argmin(1) == test.labels).mean())


def test_synthetic_can_be_learnt_as_far_as_its_noise_allows() -> None:
    assert nearest(Synthetic(noise=0.2).read(NOWHERE)) > 0.97
    assert nearest(Synthetic(noise=0.2, label_noise=0.3).read(NOWHERE)) > 0.9
    assert nearest(Synthetic(noise=10).read(NOWHERE)) < 0.5


def test_label_noise_touches_the_training_labels_alone() -> None:
    clean, noisy = (Synthetic(label_noise=share).read(NOWHERE) for share in (0.0, 0.25))
    np.testing.assert_array_equal(clean.train.pixels, noisy.train.pixels)
    assert (clean.train.labels != noisy.train.labels).mean() == pytest.approx(0.25, abs=0.04)
    np.testing.assert_array_equal(clean.sealed.open().labels, noisy.sealed.open().labels)


def test_imbalance_falls_geometrically() -> None:
    data = Synthetic(classes=3, train=1110, imbalance=100.0).read(NOWHERE)
    assert np.bincount(data.train.labels).tolist() == [1000, 100, 10]
    assert np.bincount(data.sealed.open().labels).tolist() == [167, 167, 166]


def test_synthetic_at_the_edges() -> None:
    assert load(Synthetic(classes=2, size=1, train=4, test=1, val=2), NOWHERE).facts.train_counts == (1, 1)
    with pytest.raises(DataError, match=r"data\.train: 5 images cannot hold 6 classes; take at least 6"):
        Synthetic(classes=6, train=5).read(NOWHERE)


def batch(folder: Path, name: str, count: int, seed: int) -> list[str]:
    """Write one pickled batch as CIFAR-10 has them; returns torchvision's entry for it."""
    draws = np.random.default_rng(seed)
    rows = draws.integers(0, 256, (count, 3072)).astype(np.uint8)
    data = pickle.dumps({"data": rows, "labels": (np.arange(count) % 10).tolist()})
    (folder / name).write_bytes(data)
    return [name, hashlib.md5(data).hexdigest()]


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CIFAR-10 of 20 + 10 images in torchvision's layout, some levels below the data folder."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "images" / CIFAR10.base_folder
    folder.mkdir(parents=True)
    monkeypatch.setattr(CIFAR10, "train_list", [batch(folder, "data_batch_1", 20, 0)])
    monkeypatch.setattr(CIFAR10, "test_list", [batch(folder, "test_batch", 10, 1)])
    meta = pickle.dumps({"label_names": [f"class {each}" for each in range(10)]})
    (folder / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": hashlib.md5(meta).hexdigest()})
    monkeypatch.setattr(cifar, "TEST_IMAGES", 10)
    return folder


def test_cifar_comes_as_it_is_stored(small_cifar: Path, tmp_path: Path) -> None:
    data = cifar.read(10, Places(tmp_path, download=False))
    stored = pickle.loads((small_cifar / "data_batch_1").read_bytes())
    np.testing.assert_array_equal(data.train.pixels, stored["data"].reshape(-1, 3, 32, 32))
    assert data.train.labels.tolist() == stored["labels"]
    assert (data.classes[3], len(data.sealed.open()), data.name) == ("class 3", 10, "cifar10")


def test_the_archive_of_cifar_is_unpacked_without_a_network(
    small_cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    root = tmp_path / "elsewhere"
    root.mkdir()
    with tarfile.open(root / CIFAR10.filename, "w:gz") as archive:
        archive.add(small_cifar, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5((root / CIFAR10.filename).read_bytes()).hexdigest())
    assert len(cifar.read(10, Places(root, download=False)).train) == 20


def test_a_damaged_file_of_cifar_is_named_and_not_opened(small_cifar: Path, tmp_path: Path) -> None:
    (small_cifar / "test_batch").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError) as error:
        cifar.read(10, Places(tmp_path, download=False))
    root = small_cifar.parent
    assert str(error.value) == (
        f"CIFAR-10 is not complete under {root}: put cifar-10-python.tar.gz there, or its files test_batch into {small_cifar}; "
        "test_batch there differ from the published files (downloads are switched off)"
    )


def test_missing_cifar_says_which_files_go_where(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        cifar.read(100, Places(tmp_path, download=False))
    assert str(error.value) == (
        f"CIFAR-100 is not complete under {tmp_path}: put cifar-100-python.tar.gz there, or its files train, test, meta into "
        f"{tmp_path / 'cifar-100-python'} (downloads are switched off)"
    )


def refuse(*asked: object, **more: object) -> object:
    raise urllib.error.URLError("no route to host")


def test_without_a_network_a_missing_source_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    for read in (lambda: idx_sets.read(idx_sets.KMNIST, Places(tmp_path)), lambda: cifar.read(10, Places(tmp_path))):
        with pytest.raises(DataError, match=r"put .*gz.* \(no server answered; is there a network\?\)$"):
            read()
    assert list(tmp_path.iterdir()) == []


def test_a_name_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    stuck = threading.Event()

    def hang(*asked: object, **more: object) -> None:
        stuck.wait(20)
        raise OSError

    monkeypatch.setattr("urllib.request.urlopen", hang)
    monkeypatch.setattr(download, "PATIENCE", 0.05)
    assert not download.answers(["http://localhost"])
    stuck.set()


def test_a_download_that_fails_half_way_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def fail(*asked: object, **more: object) -> None:
        raise RuntimeError("Error downloading\n  x.gz")

    monkeypatch.setattr(download, "answers", lambda urls: True)
    monkeypatch.setattr(torchvision.datasets, "MNIST", type("MNIST", (), {"mirrors": [], "__init__": fail}))
    lines: list[str] = []
    with pytest.raises(DataError, match=r"\(the download failed: Error downloading x\.gz\)$"):
        idx_sets.read(idx_sets.MNIST, Places(tmp_path, say=lines.append))
    assert lines == [f"downloading MNIST to {tmp_path}"]


def test_a_download_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision
    from test_data_idx import write_set

    def transfer(self: object, root: Path, download: bool) -> None:
        write_set(Path(root) / "KMNIST" / "raw")

    monkeypatch.setattr(download, "answers", lambda urls: True)
    monkeypatch.setattr(torchvision.datasets, "KMNIST", type("KMNIST", (), {"mirrors": [], "__init__": transfer}))
    assert len(idx_sets.read(idx_sets.KMNIST, Places(tmp_path)).train) == 30


def test_the_data_folder_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COCKPIT_DATA", "~/images")
    assert data_root() == Path.home() / "images"
    monkeypatch.delenv("COCKPIT_DATA")
    assert data_root().parts[-2:] == ("cockpit", "data")


def test_the_search_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1/2/3/4/5/6").mkdir(parents=True)
    (tmp_path / ".git/inner").mkdir(parents=True)
    (tmp_path / "1/2/loop").symlink_to(tmp_path)
    assert max(len(folder.relative_to(tmp_path).parts) for folder, _ in folders(tmp_path)) == 4
    assert not any(".git" in folder.parts for folder, _ in folders(tmp_path))
    monkeypatch.setattr("cockpit.datasets.places.FOLDERS", 3)
    assert len(list(folders(tmp_path))) == 3


def test_names_cannot_drive_a_terminal() -> None:
    assert printable("a\x1b[2Jb\n\udcffü") == "a\\x1b[2Jb\\n\\udcffü"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"
