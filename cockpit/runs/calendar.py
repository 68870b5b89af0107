"""Which step belongs to which epoch."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

DENSE = 100
"""So many measurements lie as close as asked; ..."""
SPARSE = 5
"""... the later ones lie so many times as far apart, since a long run changes slowly."""


def probe_gap(every: int, step: int) -> int:
    """Steps between two measurements of gradients and updates at this place of a run that asks for one in `every`."""
    return every * (1 if step <= DENSE * every else SPARSE)


class Calendar:
    """The steps of each planned epoch; most runs have as many in every one, some tricks change that."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = tuple(lengths)
        self._ends = tuple(accumulate(self.lengths))

    @property
    def total(self) -> int:
        """Planned steps."""
        return self._ends[-1]

    def place(self, step: int) -> tuple[int, int]:
        """The epoch, from 0, that the step after `step` steps belongs to, and how many of its steps are done."""
        number = min(bisect_right(self._ends, step), len(self.lengths) - 1)
        return number, step - (self._ends[number] - self.lengths[number])

    def epoch(self, step: int) -> float:
        """Epochs done, as a fraction."""
        number, done = self.place(step)
        return number + done / self.lengths[number]

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch is over after so many steps."""
        return step > 0 and self.epoch(step).is_integer()
