"""Whether the loop ever makes the host wait for a GPU: torch tells of every wait."""

import warnings
from collections import deque
from contextlib import closing
from itertools import islice
from pathlib import Path

import torch

from cockpit.bench.cases import Case
from cockpit.bench.findings import Finding
from cockpit.bench.loops import built, ours, record, settle


def waits(case: Case, folder: Path, *, steps: int = 100) -> Finding:
    """Steps of our loop with its record, on a CUDA device."""
    job, loaded = built(case)
    with closing(record(job, loaded, folder)) as log, warnings.catch_warnings(record=True) as told:
        lane = ours(job, log)
        deque(islice(lane, 30), maxlen=0)
        settle(job.device)
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            deque(islice(lane, steps), maxlen=0)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    count = sum("synchroniz" in str(warning.message) for warning in told)
    said = f"{count} waits for the device in {steps} steps with the record"
    limit = "nothing: the host runs ahead" if not count else "waiting for the device"
    return Finding("waits", case.name, said, limit, "", {"waits": count, "steps": steps})
