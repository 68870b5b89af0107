"""The data path: images that lie on the device, augmented there, and photographs that are decoded from their files."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cockpit.bench.cases import Case
from cockpit.bench.findings import Finding
from cockpit.bench.loops import built, seconds
from cockpit.datasets.pictures import Broken, decode

TRICKS = "tricks={random_crop: on, random_flip: on, random_erasing: on}"
SIDE, KEPT = 500, 224
"""Pixels of a photograph in its file, and of what a network gets."""
AMPLE = 2.0
"""So many times what a network takes, and the data path costs less than half a step."""


def resident(case: Case, takes: float, *, length: float = 1.0) -> Finding:
    """Cropped, flipped, erased and standardised in the batch, on the device. `takes`: images a second of the network."""
    job, _ = built(case, TRICKS)

    def prepared() -> Iterator[None]:
        while True:
            for places in job.rest_of_epoch():
                job.batches(places, job.moment())
                yield

    lane = prepared()
    steps = max(3, round(length / 3 / (seconds(lane, 3, job.device) / 3)))
    taken = min(seconds(lane, steps, job.device) for _ in range(3))
    rate = case.batch * steps / taken
    limit = f"nothing: {rate / takes:.2g} times what the network takes" if rate > AMPLE * takes else "the augmentation"
    change = "" if rate > AMPLE * takes else "fewer augmentations: each is a pass over the batch's memory"
    said = f"{rate:,.3g} images/s cropped, flipped, erased and standardised"
    figures = {"images_s": rate, "network_images_s": takes}
    return Finding("data", f"{job.device} memory, {case.size}x{case.size}", said, limit, change, figures)


def decoding(takes: float, kept: float, *, files: int = 64) -> Finding:
    """JPEGs of a usual size. `takes`: images a second of the network; `kept`: what images in memory came to."""
    with TemporaryDirectory(prefix="cockpit_bench_") as folder:
        paths = _photographs(Path(folder), files)
        decode(paths[:4], KEPT, lambda text: None)
        began = time.perf_counter()
        pictures = decode(paths, KEPT, lambda text: None)
        rate = files / (time.perf_counter() - began)
    assert not any(isinstance(picture, Broken) for picture in pictures)
    enough = rate > takes
    limit = "nothing: it is faster than the network" if enough else f"decode: {rate / takes:.2g} of what the network takes"
    change = (
        "" if enough else f"data.keep=device, where the images fit: decoded once, they come {kept / rate:.2g} times as fast"
    )
    said = f"{rate:,.3g} images/s decoded to {KEPT}x{KEPT} on every core"
    return Finding("data", f"JPEG files, {SIDE}x{SIDE}", said, limit, change, {"images_s": rate, "network_images_s": takes})


def _photographs(folder: Path, count: int) -> list[Path]:
    """Smooth pictures with some grain, as photographs are: noise alone would take the decoder far longer."""
    from PIL import Image

    draws, paths = np.random.Generator(np.random.PCG64(0)), []
    for number in range(count):
        coarse = Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
        grainy = smooth + draws.standard_normal(smooth.shape, dtype=np.float32) * 6
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths
