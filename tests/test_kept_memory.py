"""Freed memory stays with the process: counted in page faults, in processes of their own."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
{before}
import numpy as np
for round in range(40):
    if round == 20:
        began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    parts = [np.ones(size << 18, np.float32) for size in (5, 40)]  # megabytes; beyond 32, glibc never keeps any of itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began)
"""
KEEP = "from cockpit.host.memory import keep_freed_memory; keep_freed_memory()"


def faults(before: str) -> int:
    done = subprocess.run([sys.executable, "-c", COUNT.format(before=before)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_arrays_are_not_faulted_in_again():
    assert faults(KEEP) < faults("") / 5
