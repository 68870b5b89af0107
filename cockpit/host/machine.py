"""What the machine is doing: processor, memory, and the GPU where NVML knows one."""

import math
import time
from typing import Any

import numpy as np
import psutil

from cockpit.runs.directory import RunDir
from cockpit.runs.tables import MACHINE, TableWriter

EVERY = 2.0
"""Seconds between two samples."""


class MachineLog:
    """Samples the machine into the run's table. A machine without a GPU, or with slices of one, does no harm."""

    def __init__(self, run: RunDir) -> None:
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
        row[0] = (time.time(), psutil.cpu_percent(), memory, self._process.memory_info().rss, *_gpu_numbers(self._gpu))
        try:
            self._table.append(row)
        except OSError:
            return  # a full disk; the next sample tries again

    def close(self) -> None:
        """Close the table."""
        self._table.close()


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
