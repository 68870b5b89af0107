"""A terminal that is closed over the application while it trains in its own process."""

import os
import select
import sys
import time
from collections.abc import Callable

import pytest
from conftest import TINY

from cockpit.runs.directory import list_runs
from cockpit.runs.history import RunReader

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a pseudo-terminal is needed")


def drained(terminal: int, check: Callable[[], bool]) -> None:
    """Read the terminal, as somebody who watches it would, until something holds."""
    until = time.monotonic() + 90
    while not check():
        assert time.monotonic() < until
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65536)


def test_a_hang_up_ends_a_run_inside_the_application_with_a_checkpoint(tmp_path, runs):
    import pty

    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY)
    words = ["-m", "cockpit", "open", str(recipe), "--in-process", "--set", "train.epochs=100000"]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, *words])
    begun = time.monotonic()
    drained(terminal, lambda: time.monotonic() - begun > 5)
    os.write(terminal, b"r")
    drained(terminal, lambda: runs.is_dir() and bool(list_runs(runs)))
    reader = RunReader(list_runs(runs)[0])
    drained(terminal, lambda: bool(reader.poll()) and reader.history.step > 10)
    os.close(terminal)
    os.waitpid(pid, 0)
    reader.poll()
    assert reader.state == "interrupted"
    ended = reader.history.ended
    assert ended and ended.step == reader.history.step
    assert reader.history.checkpoints[-1].step == ended.step, "nothing is lost, not even the steps since the last epoch"
