"""The garbage collector beside a screen that answers keys.

A full collection looks at every object there is, and what Textual and the catalogue import stays for good: 75 ms of
processor, and three times that beside a run that trains on every core, while no key is answered.
"""

import gc
import time
from typing import Any

LONG = 0.01
"""Seconds; what survives a collection that took longer is not looked at again."""
YOUNG, MIDDLE = 5_000, 4
"""How many new objects call for a collection, and how many of those for one of what has come since: each takes a few
milliseconds. Python's 700 call for dozens a second while the screen draws."""


class Collector:
    """Keeps collections short, from the first frames on."""

    def __init__(self) -> None:
        self._begun = 0.0

    def calm(self) -> None:
        """Look no more at the objects there are now; and see to it that no collection becomes long again."""
        if self._collected not in gc.callbacks:
            gc.callbacks.append(self._collected)
            gc.set_threshold(YOUNG, MIDDLE, gc.get_threshold()[2])
        gc.freeze()

    def _collected(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            self._begun = time.perf_counter()
        elif time.perf_counter() - self._begun > LONG:
            gc.freeze()
