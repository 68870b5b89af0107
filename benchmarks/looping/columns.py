"""The columns as the one who times them sees them: processes that train when asked, one of them with a screen attached."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cockpit.bench.terminal import Terminal

HERE = Path(__file__).parents[1]
SETTLE = 0.3
"""Seconds that a screen has to wake before its round counts."""


class FailedError(Exception):
    """A column cannot go on."""


class Worker:
    """The process of one column; `nice` is that of its screen."""

    def __init__(self, column: str, *, name: str = "", threads: int = 1, nice: int = 0) -> None:
        self.name, self.column = name or column, column
        self.threads, self.nice = threads, nice
        self._open = False
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "looping.worker", column],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=HERE,
        )

    def ready(self) -> str:
        """Empty, or what is missing."""
        return self._answer().get("missing", "")

    def ask(self, **order: object) -> None:
        print(json.dumps(order), file=self._process.stdin, flush=True)

    def _answer(self) -> dict:
        said = json.loads(self._process.stdout.readline() or '{"closed": 0, "failed": "its process left"}')
        self._open = "closed" not in said
        if "failed" in said or not self._open:
            raise FailedError(f"{self.name}: {said.get('failed', 'the case ended')}")
        return said

    def end(self) -> None:
        """The case is over. Its order and the next must not lie in the pipe together: a child would read both."""
        self.ask(over=1)
        while self._open:
            with suppress(FailedError):
                self._answer()

    def opened(self) -> str:
        """Once it can train; the folder of its run, where it has one. Raises FailedError."""
        return str(self._answer().get("run", ""))

    def steps(self, count: int) -> float:
        """Seconds of so many steps."""
        self.ask(steps=count)
        return float(self._answer()["seconds"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Watched:
    """A column with a screen attached, which stands still while others train."""

    worker: Worker
    run: str
    bytes: int = 0
    """Written to the terminal in all rounds ..."""
    cpu: float = 0.0
    """... and seconds of the processor that took ..."""
    seconds: float = 0.0
    """... in so many."""

    @contextmanager
    def screen(self) -> Iterator[Callable[[int], float]]:
        command = [sys.executable, "-m", "cockpit", "attach", self.run]
        with Terminal(command, nice=self.worker.nice) as terminal:
            terminal.until(b"loss")
            terminal.stop()

            def steps(count: int) -> float:
                terminal.go_on()
                time.sleep(0.05)
                quick = self.worker.steps(max(1, count // 10))
                while quick < SETTLE:
                    quick += self.worker.steps(max(1, count // 10))
                before = terminal.tally()
                taken = self.worker.steps(count)
                after = terminal.tally()
                terminal.stop()
                self.bytes += after.bytes - before.bytes
                self.cpu += after.cpu - before.cpu
                self.seconds += after.at - before.at
                return taken

            yield steps
