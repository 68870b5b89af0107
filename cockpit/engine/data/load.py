"""From a source to what the engine trains on."""

from dataclasses import dataclass, field, replace

import numpy as np

from cockpit.datasets.base import DataError, Dataset, Images, Places
from cockpit.datasets.listed import Listed
from cockpit.engine.data.duplicates import count_duplicates
from cockpit.engine.data.sample import sampled
from cockpit.engine.data.split import class_sizes, cut, limited
from cockpit.engine.data.statistics import Statistics, statistics
from cockpit.engine.data.vault import Vault
from cockpit.families import Source
from cockpit.runs.events import DataFacts

Split = Images | Listed
"""One part of the training set, as stored or in its files: augmentation happens in the loop and never reaches validation."""


@dataclass(frozen=True)
class Loaded:
    """Everything the engine needs of the data."""

    train: Split = field(repr=False)
    val: Split = field(repr=False)
    mean: tuple[float, ...]
    """Of the training split, per channel, in [0, 1]."""
    std: tuple[float, ...]
    scale: float
    """A pixel times this lies in [0, 1]."""
    classes: tuple[str, ...]
    vault: Vault = field(repr=False)
    facts: DataFacts
    notes: tuple[str, ...]
    """What the user should know."""
    mirrors: bool = True
    """A mirrored image is still of its class."""


def load(source: Source, places: Places) -> Loaded:
    """Read a source, take its validation set, measure the training split, count duplicates. Raises DataError."""
    data = source.read(replace(places, files={"auto": None, "files": True}.get(source.keep, False)))
    if source.keep == "files" and isinstance(data.train, Images):
        raise DataError(f"data.keep: {data.name} does not come as image files that could be read one by one; take auto")
    notes = list(data.notes)
    train, val = _split(data, source, notes)
    channels, height, width = train.shape
    vault = Vault(data.sealed, (channels, height, width), len(data.classes))
    measured = _measured(train, data.scale, places, notes)
    if measured.constant:
        notes.append(
            f"channel {', '.join(map(str, measured.constant))} is (nearly) the same in every training image; it is only centred"
        )
    known = isinstance(train, Images) and isinstance(val, Images)
    duplicates = count_duplicates(train, val, vault) if known else {}
    if vault.count < data.sealed.count:
        notes.append(f"{data.sealed.count - vault.count} of {data.sealed.count} test images cannot be read and are left out")
    facts = DataFacts(
        source=data.name,
        classes=data.classes,
        channels=channels,
        height=height,
        width=width,
        train=len(train),
        val=len(val),
        test=vault.count,
        train_counts=_counts(train, data),
        val_counts=_counts(val, data),
        mean=measured.mean,
        std=measured.std,
        duplicates=duplicates,
    )
    return Loaded(
        train, val, measured.mean, measured.std, data.scale, data.classes, vault, facts, tuple(notes), source.mirrored
    )


def _measured(train: Split, scale: float, places: Places, notes: list[str]) -> Statistics:
    return sampled(train, scale, places.say, notes) if isinstance(train, Listed) else statistics(train.pixels, scale)


def _split(data: Dataset, source: Source, notes: list[str]) -> tuple[Split, Split]:
    train, val = data.train, data.val
    class_sizes(train.labels, data.classes)
    if val is None:
        held = cut(train.labels, data.classes, source.val, source.split_seed)
        train, val = train.where(~held), train.where(held)
    elif not len(val):
        raise DataError(
            f"{data.name}: its own validation set is empty; fill it, or remove it to take one from the training set"
        )
    else:
        notes.append(f"{data.name} has its own {len(val):,} validation images; data.val is not used")
    if source.limit is not None:
        train = train.where(limited(train.labels, data.classes, source.limit, source.split_seed))
    return train, val


def _counts(images: Split, data: Dataset) -> tuple[int, ...]:
    return tuple(np.bincount(images.labels, minlength=len(data.classes)).tolist())
