"""What measuring costs: time on the host, and on a GPU the time of its own work, read without waiting for it."""

import time
from dataclasses import dataclass, field

import torch


@dataclass
class Spent:
    """The cost of one step's measurements; `seconds` may be asked once the device is past them."""

    host: float = 0.0
    events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The longer of host and device: they work side by side."""
        device: float = sum(first.elapsed_time(last) for first, last in self.events) / 1000
        return max(self.host, device)


@dataclass
class Meter:
    """`start` and `stop` around a measurement, `take` once a step."""

    device: str = "cpu"
    _now: Spent = field(default_factory=Spent)
    _began: float = 0.0
    _first: torch.cuda.Event | None = None

    def start(self) -> None:
        """A measurement begins."""
        if self.device == "cuda":
            self._first = torch.cuda.Event(enable_timing=True)
            self._first.record()
        self._began = time.perf_counter()

    def stop(self) -> None:
        """It has ended."""
        self._now.host += time.perf_counter() - self._began
        if self._first is not None:
            last = torch.cuda.Event(enable_timing=True)
            last.record()
            self._now.events.append((self._first, last))
            self._first = None

    def take(self) -> Spent:
        """The cost since the last take."""
        spent, self._now = self._now, Spent()
        return spent
