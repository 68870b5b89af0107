"""A process that decodes image files into shared memory. NumPy and Pillow alone, so that it starts at once and stays small."""

import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.pictures import Broken, decoded, stack
from cockpit.datasets.slots import mapped

ALONE = 5.0
"""Seconds after which one that has nothing to do looks whether the process that it works for still lives."""


def serve(wire: Connection, images: NDArray[np.uint8]) -> None:
    """Decode what is asked for until the other end is closed. A request: slot, first image in it, file names."""
    parent = os.getppid()
    while wire.poll(ALONE) or os.getppid() == parent:
        if not wire.poll():
            continue
        slot, first, names = wire.recv()
        broken = []
        for place, name in enumerate(names, first):
            picture = decoded(Path(name), images.shape[-1])
            if isinstance(picture, Broken):
                broken.append((place, picture.why))
            else:
                images[slot, place] = stack([picture], images.shape[2])[0]
        wire.send((slot, broken))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process it works for
    numbers = [int(each) for each in sys.argv[1:]]
    with suppress(EOFError, ConnectionError):
        serve(Connection(numbers[0]), mapped(numbers[1], tuple(numbers[2:])))  # type: ignore[arg-type]
