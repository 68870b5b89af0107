"""Arrays of one's own as a source. The reader is imported when it reads: the screen wants the cards at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cockpit.cards import card, knob
from cockpit.families import Source

if TYPE_CHECKING:
    from cockpit.datasets.base import Dataset, Places


@card(
    "arrays",
    when="Data that are no image files: tables, signals, images you have prepared yourself.",
    beware="Floats are taken as they stand: augmentations that deal in colour expect [0, 1], and so do previews.",
    source="NumPy, numpy.savez",
)
class Arrays(Source):
    """An .npz file of your own: x with y, and x_val with y_val or x_test with y_test where you have them.

    x is (N, C, H, W), (N, H, W), or (N, F) for a table, whose columns become channels; y holds the class of each example,
    counted from 0. With standardise none, the network sees floats as they are stored.
    """

    mirrors: ClassVar[bool] = False

    path: str = knob(help="the .npz file: inside the data folder, absolute, or from ~")
    test: float = knob(0.2, low=0, high=0.5, help="share of each class that is sealed, where there is no x_test; 0 seals none")
    scale: float | None = knob(None, above=0, help="factor on every value; none takes 1/255 for bytes and 1 for all else")

    def read(self, places: Places) -> Dataset:
        """Everything is read at once; nothing in the file is unpickled."""
        from cockpit.datasets import arrays

        return arrays.read(self.path, self.test, self.scale, places)
