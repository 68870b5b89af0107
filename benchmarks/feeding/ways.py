"""Ours, torchvision's and timm's way from stored images to batches that a network can take."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble
from cockpit.recipe import loads
from feeding.cases import Case, numbered

MEAN, STD, COUNT = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 4096
PHOTOGRAPHS = 256
Batches = Iterator[Tensor]


class Pictures(Dataset[Any]):
    """Bytes in memory, changed one by one as they are asked for."""

    def __init__(self, case: Case, change: Any, *, pil: bool = False) -> None:
        draw = torch.Generator().manual_seed(0)
        shape = (COUNT, case.channels, case.side, case.side)
        self._pixels = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
        self.transform, self._pil = change, pil

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, place: int) -> tuple[Any, int]:
        image: Any = self._pixels[place]
        if self._pil:
            image = Image.fromarray(image.permute(1, 2, 0).numpy())
        return (self.transform(image) if self.transform else image), place % 10


def photographs(folder: Path) -> Path:
    """JPEG files as cameras and the web have them: smooth, with some grain; two classes."""
    draw = np.random.default_rng(0)
    for number in range(PHOTOGRAPHS):
        shapes = Image.fromarray(draw.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        grain = np.asarray(shapes).astype(np.int16) + draw.integers(-8, 9, (375, 500, 1), dtype=np.int16)
        place = folder / f"class{number % 2}" / f"{number:04}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(place, quality=90)
    return folder


def ours(case: Case, folder: Path, device: str) -> Batches:
    """Bytes on the device, or decoded ahead, changed in batches."""
    made = f"{{source: synthetic, size: {case.side}, channels: {case.channels}, train: {COUNT}, test: 10, mirror: on}}"
    data = f"{{source: folder, path: {folder}, size: {case.side}, test: 0.1, val: 2, keep: files}}" if case.files else made
    text = (
        f"data: {data}\nmodel: {{name: mlp, widths: [8]}}\noptimizer: {{name: sgd, lr: 0.1}}\nschedule: constant\n"
        f"train: {{epochs: 100000, batch_size: {case.batch}, precision: fp32, device: {device}}}\n"
    )
    recipe = loads(text, edits=[*(f"tricks.{trick}" for trick in case.tricks), *case.edits])
    job, _ = assemble(recipe, Places(root=data_root()))
    while True:
        for places in job.rest_of_epoch():
            (batch,) = job.batches(places, job.moment())
            job.step += 1
            yield batch.x


def _endless(loader: Any, change: Any = None, device: str = "cpu") -> Batches:
    while True:
        for x, y in loader:
            x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
            yield change(x, y)[0] if change else x


def torchvision(case: Case, folder: Path, device: str, workers: int) -> Batches:
    """Dataset, transforms v2 for each image, DataLoader."""
    steps = [*case.geometry(), *numbered(MEAN[: case.channels], STD[: case.channels]), *case.numbers()]
    change = v2.Compose([v2.PILToTensor(), *steps] if case.files else steps)
    images: Any = ImageFolder(str(folder), change) if case.files else Pictures(case, change)
    mixes = case.mixes()
    rest = {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": device == "cuda"}
    loader = DataLoader(images, case.batch, shuffle=True, drop_last=True, **rest)  # type: ignore[arg-type]
    return _endless(loader, v2.Compose(mixes) if mixes else None, device)


def timm(case: Case, folder: Path, device: str, workers: int) -> Batches:
    """create_loader with its own transforms and its prefetcher, which standardises and erases a batch at a time."""
    from timm.data import create_loader

    images: Any = ImageFolder(str(folder)) if case.files else Pictures(case, None, pil=True)
    size = (case.channels, case.side, case.side)
    rest = {"num_workers": workers, "persistent_workers": workers > 0, "device": torch.device(device), **(case.timm or {})}
    with warnings.catch_warnings(action="ignore"):
        loader = create_loader(images, size, case.batch, is_training=True, interpolation="bilinear", mean=MEAN, std=STD, **rest)
    return _endless(loader)


def ways(case: Case, folder: Path, device: str, crews: tuple[int, ...]) -> dict[str, Batches]:
    """Every way that this case has, by name; `crews`: numbers of worker processes."""
    found = {"ours": ours(case, folder, device)}
    for workers in crews:
        found[f"torchvision, {workers} workers"] = torchvision(case, folder, device, workers)
        if case.timm is not None:
            found[f"timm, {workers} workers"] = timm(case, folder, device, workers)
    return found


def stored() -> tempfile.TemporaryDirectory[str]:
    """A folder of photographs that goes away with its object."""
    place = tempfile.TemporaryDirectory(prefix="cockpit_bench_")
    photographs(Path(place.name))
    return place
