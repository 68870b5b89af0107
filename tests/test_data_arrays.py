"""Arrays of one's own: shapes, floats that stay as they are, and what is wrong with a file, in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cockpit.datasets.base import DataError, Dataset, Places
from cockpit.engine.assemble import assemble
from cockpit.engine.data.load import load
from cockpit.engine.data.statistics import statistics
from cockpit.engine.preview import thumbnails
from cockpit.engine.testing import TestingError, look
from cockpit.host.host import Host
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.history import read_history
from cockpit.tricks.data_arrays import Arrays

DRAWS = np.random.default_rng(0)
Y = np.arange(60) % 3
X = DRAWS.normal(5, 100, (60, 4))


def saved(folder: Path, **arrays: Any) -> Places:
    np.savez(folder / "own.npz", **arrays)
    return Places(folder)


def opened(folder: Path, **arrays: Any) -> Dataset:
    return Arrays(path="own.npz", test=0).read(saved(folder, **arrays))


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (np.zeros((60, 4)), (4, 1, 1)),
        (np.zeros((60, 5, 6)), (1, 5, 6)),
        (np.zeros((60, 3, 5, 6), np.uint8), (3, 5, 6)),
        (np.zeros((60, 2), bool), (2, 1, 1)),
    ],
)
def test_tables_and_images_become_channels_first(tmp_path: Path, x: Any, shape: tuple[int, ...]) -> None:
    data = opened(tmp_path, x=x, y=Y)
    assert data.train.pixels.shape == (60, *shape)
    assert data.train.pixels.dtype == (np.uint8 if x.dtype == np.uint8 else np.float32)
    assert data.scale == (1 / 255 if x.dtype == np.uint8 else 1.0)
    assert data.classes == ("0", "1", "2") and data.sealed.count == 0


def test_the_files_own_parts_are_taken(tmp_path: Path) -> None:
    data = opened(tmp_path, x=X, y=Y.astype(float), x_val=X[:9], y_val=Y[:9], x_test=X[:6], y_test=Y[:6])
    assert data.val is not None and len(data.val) == 9
    assert data.sealed.count == 6 and len(data.train) == 60
    np.testing.assert_array_equal(data.sealed.open().labels, Y[:6])


def test_without_a_test_set_a_share_of_each_class_is_sealed_with_its_copies(tmp_path: Path) -> None:
    source = Arrays(path="own.npz", test=0.2)
    data = source.read(saved(tmp_path, x=X, y=Y))
    assert np.bincount(data.sealed.open().labels).tolist() == [4, 4, 4] and len(data.train) == 48
    again = source.read(saved(tmp_path, x=X[::-1], y=Y[::-1]))
    assert sorted(data.sealed.open().pixels.tolist()) == sorted(again.sealed.open().pixels.tolist())


RECIPE = """
data: {{source: arrays, path: {path}, test: 0, standardise: {standardise}, val: 12}}
model: {{name: mlp, widths: [8], norm: none}}
train: {{epochs: 2, batch_size: 16, device: cpu}}
"""


def test_with_standardise_none_the_network_sees_the_values_as_they_are_stored(tmp_path: Path) -> None:
    job, loaded = assemble(loads(RECIPE.format(path="own.npz", standardise="none")), saved(tmp_path, x=X, y=Y))
    places = next(job.val_places())
    np.testing.assert_array_equal(job.val.clean(places).x.numpy(), loaded.val.pixels)
    assert job.val.clean(places).x.dtype.is_floating_point


def test_with_standardise_train_every_column_has_mean_0_and_spread_1(tmp_path: Path) -> None:
    scales = np.array([1e-4, 1, 2000, 1e6])
    job, _ = assemble(loads(RECIPE.format(path="own.npz", standardise="train")), saved(tmp_path, x=X * scales, y=Y))
    import torch

    x = job.train.clean(torch.arange(len(job.train))).x
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(dim=(0, 2, 3), correction=0), torch.ones(4), atol=1e-4, rtol=0)
    assert thumbnails(job, ("0", "1", "2"), 2)[0].shape == (1, 1, 4)


def test_statistics_of_floats_know_what_is_constant_and_leave_out_what_is_not_finite() -> None:
    x = np.zeros((4, 4, 1, 1), np.float32)
    x[:, 0, 0, 0] = [1, 2, 3, np.nan]
    x[:, 1] = 7e6
    x[:, 2, 0, 0] = [1e-9, 2e-9, 3e-9, 4e-9]
    x[:, 3] = np.inf
    found = statistics(x, 0.5)
    assert found.constant == (1, 3)
    assert found.mean == pytest.approx((1.0, 3.5e6, 1.25e-9, 0.0))
    assert found.std == pytest.approx((0.5 * np.std([1, 2, 3]), 1.0, 0.5e-9 * np.std([1, 2, 3, 4]), 1.0))


def test_values_that_are_not_finite_are_told_and_reach_the_network(tmp_path: Path) -> None:
    x = X.copy()
    x[3, 0], x[5, 1] = np.nan, 1e300
    data = opened(tmp_path, x=x, y=Y)
    assert data.notes == ("x: 2 values are not finite (NaN or infinite) and will reach the network so",)
    assert np.isnan(data.train.pixels[3, 0]) and np.isinf(data.train.pixels[5, 1])
    loaded = load(Arrays(path="own.npz", test=0), Places(tmp_path))
    assert np.isfinite(loaded.mean).all() and np.isfinite(loaded.std).all()


def test_copies_are_counted_across_the_splits(tmp_path: Path) -> None:
    loaded = load(Arrays(path="own.npz"), saved(tmp_path, x=X, y=Y, x_val=X[:9], y_val=Y[:9], x_test=X[:6], y_test=Y[:6]))
    assert loaded.facts.duplicates == {"train": 0, "train_val": 9, "train_test": 6, "val_test": 6}
    assert loaded.mirrors is False


def test_a_table_is_trained_on_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COCKPIT_DATA", str(tmp_path))
    saved(tmp_path, x=X + 500 * Y[:, None], y=Y)
    recipe = loads(RECIPE.format(path=tmp_path / "own.npz", standardise="train"))
    run = new_run(recipe, tmp_path / "runs", "own", allow_code=False, command=[])
    assert Host(run, say=lambda text: None).run().state == "finished"
    history = read_history(run)
    assert history.started is not None and history.started.data.channels == 4
    assert history.evaluations[-1].val_size == 12


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, "the file has no array y; it has x"),
        ({"z": X}, "has no array called x; it has z"),
        ({"x": X, "y": Y, "x_val": X}, "the file has no array y_val; it has x, x_val, y"),
        ({"x": X, "y": Y[:5]}, "y: it has 5 labels for the 60 examples of x"),
        ({"x": X, "y": Y + 0.5}, "y: 0.5 is no class; labels are whole numbers from 0"),
        ({"x": X, "y": Y - 1}, "y: -1 is no class; labels are whole numbers from 0"),
        ({"x": X, "y": np.eye(3)[Y]}, r"y: its shape is \(60, 3\); it must be \(N,\)"),
        ({"x": X, "y": np.array(["a", "b", "c"])[Y]}, "y: it holds <U1; number the classes from 0"),
        ({"x": X, "y": Y * 2}, "y: no example is of class 1, and some are of 4; number the classes from 0 without gaps"),
        ({"x": X, "y": Y * 0}, "y: every label is 0; a classifier needs two classes or more"),
        ({"x": X, "y": Y, "x_val": X[:3], "y_val": Y[:3] + 1}, "y_val: 3 is no class; the training labels end at 2"),
        ({"x": X, "y": Y, "x_val": X[:3, :2], "y_val": Y[:3]}, r"x_val: an example is float32 \(2, 1, 1\), and one of x is"),
        ({"x": X[0], "y": Y[:4]}, r"x: its shape is \(4,\); it must be \(N, C, H, W\), \(N, H, W\) or \(N, F\)"),
        ({"x": X[:0], "y": Y[:0]}, r"x: its shape is \(0, 4\)"),
        ({"x": X.astype(complex), "y": Y}, "x: it holds complex128, not numbers"),
        ({"x": np.array([{}] * 60), "y": Y}, "is no .npz file of plain arrays: Object arrays cannot be loaded"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        opened(tmp_path, **arrays)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    places = saved(tmp_path, x=X, y=Y)
    np.save(tmp_path / "single.npy", X)
    (tmp_path / "noise.npz").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "empty.npz").write_bytes(b"")
    for path, words in [
        ("owm.npz", "there is no file .*did you mean .*own.npz"),
        (".", "is a folder; name the .npz file"),
        ("single.npy", "holds a single array; save x and y together with numpy.savez"),
        ("noise.npz", "is no .npz file of plain arrays"),
        ("empty.npz", "is no .npz file of plain arrays"),
        ("a\0b", "there is no file|cannot be read"),
        ("x" * 5000, "cannot be read"),
    ]:
        with pytest.raises(DataError, match=words):
            Arrays(path=path).read(places)


def test_a_look_where_nothing_is_sealed_says_so(tmp_path: Path) -> None:
    saved(tmp_path, x=X, y=Y)
    recipe = loads(RECIPE.format(path=tmp_path / "own.npz", standardise="train"))
    run = new_run(recipe, tmp_path / "runs", "own", allow_code=False, command=[])
    assert Host(run, say=lambda text: None).run().state == "finished"
    with pytest.raises(TestingError, match="no test images: none were sealed"):
        look(run)
