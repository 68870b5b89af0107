"""Points in the plane as images of one pixel with two channels, so that every trick that needs no neighbours takes them."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cockpit.cards import card, knob
from cockpit.datasets.base import Dataset, Images, Places, Sealed
from cockpit.families import Source

Shape = Literal["moons", "circles"]
WINDOW = (-2.0, 3.0, -1.5, 2.0)
"""left, right, bottom, top of the plane that is mapped to [0, 1]; a point outside is moved to the border."""
FRESH = 1000
"""Points of the validation set."""


def drawn(shape: Shape, count: int, noise: float, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(count, 2) places and (count,) classes, 0 and 1."""
    from sklearn.datasets import make_circles, make_moons

    if shape == "moons":
        places, classes = make_moons(count, noise=noise, random_state=seed)
    else:
        places, classes = make_circles(count, noise=noise, factor=0.4, random_state=seed)
        places = 1.2 * places + (0.5, 0.25)  # the middle of the window
    return places, classes.astype(np.int64)


def pixels(places: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(N, 2) places -> (N, 2, 1, 1): the window in 256 steps each way, 0.02 wide and much finer than the noise."""
    left, right, bottom, top = WINDOW
    share = (places - (left, bottom)) / (right - left, top - bottom)
    return (share.clip(0, 1) * 255).round().astype(np.uint8)[:, :, None, None]


@card("points", source="scikit-learn, make_moons and make_circles")
class Points(Source):
    """Points of two classes in the plane; a thousand fresh ones are the validation set."""

    shape: Shape = knob("moons", help="what the two classes look like")
    noise: float = knob(0.2, low=0, high=1, help="standard deviation of each coordinate")
    count: int = knob(100, low=20, high=10_000, help="training points")
    seed: int = knob(0, low=0, help="seed of the points")

    def read(self, places: Places) -> Dataset:
        """Made anew at each call, always the same."""

        def images(count: int, part: int) -> Images:
            made, classes = drawn(self.shape, count, self.noise, 3 * self.seed + part)
            return Images(pixels(made), classes)

        return Dataset("points", ("o", "x"), 1 / 255, images(self.count, 0), Sealed(2, lambda: images(2, 2)), images(FRESH, 1))
