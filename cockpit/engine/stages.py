"""Where the time of the training goes: by the host's clock, and on a GPU by events of sampled steps, read without waiting."""

import time
from collections import deque
from itertools import pairwise

import torch

from cockpit.runs.tables import STAGES

ON_DEVICE = ("data", "forward", "backward", "optimizer")

Marks = list[tuple[str, torch.cuda.Event]]


class Stages:
    """The training thread enters one stage after the other; any thread may read what they took, in seconds."""

    def __init__(self, device: str = "cpu") -> None:
        self.host = dict.fromkeys((*STAGES, "paused"), 0.0)
        self.device = dict.fromkeys(ON_DEVICE, 0.0)
        """Of the sampled steps of a GPU: the host only hands it the work."""
        self.now = "record"
        self._since = time.perf_counter()
        self._cuda = device == "cuda"
        self._marks: Marks | None = None
        self._waiting: deque[Marks] = deque()

    def step(self, *, sampled: bool) -> None:
        """A step begins with its data."""
        if self._cuda and sampled:
            self._marks = []
        self.enter("data")

    def enter(self, stage: str) -> None:
        """What follows belongs to this stage. A sampled step ends where its work on the device does: at `record`."""
        now = time.perf_counter()
        self.host[self.now] += now - self._since
        self._since, self.now = now, stage
        if self._marks is not None:
            self._mark(self._marks, stage)

    def waited(self, seconds: float) -> None:
        """So much of the present stage was standing still."""
        self.host["wait"] += seconds
        self.host[self.now] -= seconds

    def _mark(self, marks: Marks, stage: str) -> None:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        marks.append((stage, event))
        if stage not in ON_DEVICE:
            self._marks = None
            self._waiting.append(marks)
            while self._waiting and self._waiting[0][-1][1].query():
                self._add(self._waiting.popleft())

    def _add(self, marks: Marks) -> None:
        for (stage, first), (_, last) in pairwise(marks):
            self.device[stage] += first.elapsed_time(last) / 1000

    def seconds(self) -> dict[str, float]:
        """Seconds of each stage so far. On a GPU, what the host spent on its work is shared out as the device spent it."""
        spent = {stage: self.host[stage] for stage in STAGES}
        measured = sum(self.device.values())
        if measured:
            handed = sum(spent[stage] for stage in ON_DEVICE)
            spent |= {stage: handed * self.device[stage] / measured for stage in ON_DEVICE}
        return spent
