"""What the machine is doing: processor, memory, the GPU where NVML knows one; and what the training spends its time on."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import psutil

from cockpit.runs.directory import RunDir
from cockpit.runs.tables import MACHINE, STAGES, TableWriter

EVERY = 2.0
"""Seconds between two samples."""


class MachineLog:
    """Samples the machine into the run's table. A machine without a GPU, or with slices of one, does no harm."""

    def __init__(self, run: RunDir, spent: Callable[[], Mapping[str, float]] = dict) -> None:
        """`spent`: the seconds of each stage of the training so far."""
        self._split = _Split(spent)
        self._table = TableWriter(run.table("machine"), MACHINE)
        self._process = psutil.Process()
        self._gpu = _first_gpu()
        self._next = 0.0
        psutil.cpu_percent()

    def tick(self) -> None:
        """Sample, if it is time."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        row = np.zeros(1, MACHINE)
        memory = psutil.virtual_memory().percent
        load = (time.time(), psutil.cpu_percent(), memory, self._process.memory_info().rss)
        row[0] = (*load, *_gpu_numbers(self._gpu), *self._split.percent())
        try:
            self._table.append(row)
        except OSError:
            return  # a full disk; the next sample tries again

    def close(self) -> None:
        """Close the table."""
        self._table.close()


class _Split:
    """What the training spends its time on, since the last look."""

    def __init__(self, spent: Callable[[], Mapping[str, float]]) -> None:
        self._spent = spent
        self._last: Mapping[str, float] = {}
        self._percent = [math.nan] * len(STAGES)

    def percent(self) -> list[float]:
        """Of each stage; as at the last look where none has ended since, and NaN before the first."""
        spent = self._spent()
        since = [max(0.0, spent.get(stage, 0.0) - self._last.get(stage, 0.0)) for stage in STAGES]
        whole = sum(since)
        if whole:
            self._last = spent
            self._percent = [100 * seconds / whole for seconds in since]
        return self._percent


def _first_gpu() -> Any:
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByIndex(0)
    except Exception:  # no library, no driver, no permission: each raises its own
        return None


def _gpu_numbers(handle: Any) -> tuple[float, float, float, float]:
    """(utilisation %, memory %, degrees, watts); NaN where the driver does not say, as on MIG slices."""
    if handle is None:
        return (math.nan,) * 4
    import pynvml

    def ask(question: Any) -> float:
        try:
            return float(question())
        except pynvml.NVMLError:
            return math.nan

    def memory() -> float:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return 100.0 * float(info.used) / float(info.total)

    return (
        ask(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        ask(memory),
        ask(lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        ask(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000),
    )
