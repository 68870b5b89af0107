"""A folder of images: layouts, modes, broken files, and the sentences about them."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cockpit.datasets.base import DataError, Dataset, Places
from cockpit.engine.data.load import load
from cockpit.tricks.data import Folder

SIZE = 8


def save(path: Path, colour: object = (10, 20, 30), mode: str = "RGB", size: tuple[int, int] = (SIZE, SIZE)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def fill(folder: Path, names: str = "ab", count: int = 6) -> None:
    for shade, name in enumerate(names):
        for each in range(count):
            save(folder / name / f"{each}.png", (shade, each, 0))


def read(root: Path, **knobs: object) -> Dataset:
    return Folder(**{"path": "set", "size": SIZE, **knobs}).read(Places(root, download=False))


def fault(root: Path, **knobs: object) -> str:
    with pytest.raises(DataError) as error:
        read(root, **knobs)
    return str(error.value).replace(str(root), "ROOT")


def test_sub_folders_are_classes_and_a_share_is_sealed(tmp_path: Path) -> None:
    fill(tmp_path / "set", count=10)
    data = read(tmp_path)
    assert (data.name, data.classes, data.val) == ("set", ("a", "b"), None)
    assert data.train.pixels.shape == (16, 3, SIZE, SIZE)
    assert np.bincount(data.train.labels).tolist() == [8, 8]
    test = data.sealed.open()
    assert data.sealed.count == len(test) == 4
    seen = np.concatenate([data.train.pixels[:, :2, 0, 0], test.pixels[:, :2, 0, 0]])
    assert sorted(map(tuple, seen.tolist())) == [(shade, each) for shade in range(2) for each in range(10)]


def test_a_sealed_image_stays_sealed_when_files_are_added(tmp_path: Path) -> None:
    fill(tmp_path / "set", count=20)
    before = {bytes(image.tobytes()) for image in read(tmp_path).train.pixels}
    for name in "ab":
        save(tmp_path / "set" / name / "new.png", (9, 200, 9))
    after = {bytes(image.tobytes()) for image in read(tmp_path).sealed.open().pixels}
    # Two images more, 8.4 sealed instead of 8: at most one moves.
    assert len(before & after) <= 1


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "validation", "testing"), ("train", "valid", "Test")])
def test_split_parents_are_recognised(tmp_path: Path, names: tuple[str, ...]) -> None:
    for count, name in zip((6, 4, 3), names, strict=True):
        fill(tmp_path / "set" / name, count=count)
    data = read(tmp_path)
    assert data.classes == ("a", "b")
    assert data.val is not None
    assert (len(data.train), len(data.val), data.sealed.count) == (12, 8, 6)


def test_a_class_may_bear_the_name_of_a_split(tmp_path: Path) -> None:
    for name in ("car", "plane", "train"):
        fill(tmp_path / "set", names=[name])  # type: ignore[arg-type]
    assert read(tmp_path).classes == ("car", "plane", "train")


def test_wrong_layouts_are_refused_with_words(tmp_path: Path) -> None:
    def after(*made: str, **knobs: object) -> str:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        (root / "set").mkdir(parents=True)
        for name in made:
            (root / "set" / name).mkdir(parents=True, exist_ok=True) if name.endswith("/") else save(root / "set" / name)
        return fault(root, **knobs).replace(str(tmp_path), "")

    assert after("train/a/1.png", "train/b/1.png", "labels/1.png") == (
        "ROOT/set mixes splits (train) with other folders (labels): "
        "move the others out, or name the folder whose sub-folders are the classes"
    )
    assert after("train/1.png", "test/2.png") == (
        "ROOT/set: test, train hold no class folders; put each class in a folder of its own there"
    )
    assert after("val/a/1.png", "test/a/1.png") == "ROOT/set has test, val and no folder train"
    assert after("train/a/1.png", "val/a/1.png", "valid/a/1.png") == (
        "ROOT/set: two of train, val, valid are the same split; keep one"
    )
    assert after("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/z/1.png") == (
        "ROOT/set/test has the classes z, which ROOT/set/train has not"
    )
    assert after("a/1.png", "b/") == "class folder ROOT/set/b has no images: fill it, or remove it"
    assert after("v1/train/1.png", "v2/train/1.png") == (
        "class folder ROOT/set/v1 has no images but the sub-folders train: are the classes one level down?"
    )
    assert after("set/a/1.png", "set/b/1.png") == (
        "ROOT/set has a single sub-folder, set; did you mean ROOT/set/set, which holds a, b?"
    )
    assert after("a/1.png") == "ROOT/set has a single sub-folder, a; a task needs two"
    assert after("1.png", "2.png") == "ROOT/set has 2 images and no sub-folders; put each class in a folder of its own there"
    assert after() == "ROOT/set has no sub-folders with images; put each class in a folder of its own there"
    assert after("x/1.png", path="sett") == "data.path: there is no folder ROOT/sett; did you mean ROOT/set?"
    assert after("x/1.png", path="set/x/1.png") == "data.path: ROOT/set/x/1.png is a file; unpack it and name the folder"
    assert after("x/1.png", path="q/r") == "data.path: there is no folder ROOT/q/r"


def test_every_mode_becomes_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "a"
    save(folder / "0.png", (255, 0, 0))
    save(folder / "1.png", 128, "L")
    save(folder / "2.png", (255, 0, 0, 0), "RGBA")
    save(folder / "3.gif", 0, "P")
    Image.fromarray(np.full((SIZE, SIZE), 32896, np.uint16)).save(folder / "4.png")
    save(folder / "5.png", 1, "1")
    save(folder / "6.jpg", (0, 255, 255, 0), "CMYK")
    save(folder / "7.png", (100, 0), "LA")
    fill(tmp_path / "set", names="bcd")
    data = read(tmp_path, test=0.01)
    everything = np.concatenate([data.train.pixels, data.sealed.open().pixels])
    labels = np.concatenate([data.train.labels, data.sealed.open().labels])
    seen = sorted(map(tuple, everything[labels == 0][:, :, 4, 4].tolist()))
    red = (255, 0, 0)
    with Image.open(folder / "6.jpg") as first, Image.open(folder / "3.gif") as second:
        cmyk, palette = (image.convert("RGB").getpixel((4, 4)) for image in (first, second))
    white = (255, 255, 255)
    assert seen == sorted([red, (128,) * 3, white, palette, (128,) * 3, white, cmyk, white])


def test_grey_files_make_one_channel_and_colour_can_be_asked_for(tmp_path: Path) -> None:
    for name in "ab":
        for each in range(6):
            save(tmp_path / "set" / name / f"{each}.png", 40 * each, "L")
    assert read(tmp_path).train.pixels.shape[1] == 1
    three = read(tmp_path, channels=3).train.pixels
    assert three.shape[1] == 3
    assert (three == three[:, :1]).all()


def test_colour_becomes_grey_as_pillow_does_it(tmp_path: Path) -> None:
    draws = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3)).astype(np.uint8)
    fill(tmp_path / "set", names="b")
    (tmp_path / "set" / "a").mkdir()
    for each, pixels in enumerate(draws):
        Image.fromarray(pixels).save(tmp_path / "set" / "a" / f"{each}.png")
    data = read(tmp_path, channels=1, test=0.01)
    images = np.concatenate([data.train.pixels, data.sealed.open().pixels])[:, 0].astype(int)
    for pixels in draws:
        grey = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
        assert min(np.abs(image - grey).max() for image in images) <= 1


def test_mixed_sizes_keep_the_centre_square(tmp_path: Path) -> None:
    fill(tmp_path / "set")
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    Image.fromarray(wide).save(tmp_path / "set" / "a" / "wide.png")
    Image.fromarray(wide.transpose(1, 0, 2)).save(tmp_path / "set" / "a" / "tall.png")
    data = read(tmp_path, test=0.01)
    pixels = np.concatenate([data.train.pixels, data.sealed.open().pixels])
    # The filter looks over the edge of the square, so its outermost pixels are a little darker.
    assert sum((image[:, 1:-1, 1:-1] == 255).all() and image.min() > 200 for image in pixels) == 2


def test_the_rotation_of_the_camera_is_undone(tmp_path: Path) -> None:
    fill(tmp_path / "set")
    half = np.zeros((SIZE * 4, SIZE * 4, 3), np.uint8)
    half[: SIZE * 2] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: turn it clockwise
    Image.fromarray(half).save(tmp_path / "set" / "a" / "r.jpg", exif=exif, quality=95)
    data = read(tmp_path, test=0.01)
    pixels = np.concatenate([data.train.pixels, data.sealed.open().pixels])
    (turned,) = [image for image in pixels if image.max() > 200]
    assert turned[0, :, -1].min() > 200
    assert turned[0, :, 0].max() < 50


def test_broken_images_are_left_out_and_named(tmp_path: Path) -> None:
    for split in ("train", "test"):
        fill(tmp_path / "set" / split, count=10)
    whole = (tmp_path / "set" / "train" / "a" / "0.png").read_bytes()
    (tmp_path / "set" / "train" / "a" / "cut\x1b[31m.png").write_bytes(whole[:-40])
    (tmp_path / "set" / "test" / "b" / "text.jpg").write_text("no image")
    (tmp_path / "set" / "train" / "b" / "README.txt").write_text("not looked at")
    (tmp_path / "set" / "train" / ".hidden").mkdir()
    (tmp_path / "set" / "train" / "a" / ".DS_Store").write_text("")
    loaded = load(Folder(path="set", size=SIZE, val=0.2), Places(tmp_path))
    strangers, broken, _, test = loaded.notes
    assert strangers == "1 entry that is no image is ignored: train/b/README.txt"
    assert broken.startswith("1 of 21 images cannot be read and are left out: train/a/cut\\x1b[31m.png (")
    assert test == "1 of 21 test images cannot be read and are left out"
    assert loaded.facts.train + loaded.facts.val == 20
    assert loaded.facts.test == loaded.vault.count == len(loaded.vault.open_for_look()) == 20


def test_too_many_broken_images_are_an_error(tmp_path: Path) -> None:
    fill(tmp_path / "set", count=10)
    for each in range(5):
        (tmp_path / "set" / "a" / f"{each}.jpg").write_text("no image")
    assert fault(tmp_path, test=0.01).startswith("5 of 23 images in ROOT/set cannot be read: a/0.jpg (it is no image")


def test_progress_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "set")
    monkeypatch.setattr("cockpit.datasets.pictures.REPORT_EVERY", -1.0)
    lines: list[str] = []
    Folder(path="set", size=SIZE, test=0.01).read(Places(tmp_path, say=lines.append))
    assert lines[0] == "decoding images: 1 of 10"
    assert lines[-1] == "decoding images: 10 of 10"


@pytest.mark.skipif("COCKPIT_DATA" not in os.environ, reason="COCKPIT_DATA names no folder with the real files")
def test_the_real_folders() -> None:
    places = Places(Path(os.environ["COCKPIT_DATA"]), download=False)
    rubbish = load(Folder(path="trashnet", size=32), places).facts
    assert rubbish.train + rubbish.val + rubbish.test == 2527
    # Three files stand twice; each pair is seen once, wherever its halves fell, unless both were sealed.
    assert sum(rubbish.duplicates.values()) == 3
    assert max(rubbish.train_counts) / min(rubbish.train_counts) == pytest.approx(4.3, abs=0.1)
    signs = load(Folder(path="sign-digits", size=32), places)
    assert signs.facts.train + signs.facts.val + signs.facts.test == 2062
    assert (signs.facts.channels, signs.classes, signs.notes) == (3, tuple("0123456789"), ())
