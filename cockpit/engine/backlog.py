"""Records that the disk would not take: they wait in memory, in order, until it does."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from cockpit.runs.tables import Rows, rows_until

MOST = 200_000
"""Records that may wait; the oldest are given up for more."""


class Backlog:
    """Hands records to their writers by name: lines to one, rows of tables to others."""

    def __init__(self, writers: Mapping[str, Callable[[Any], None]], complain: Callable[[str], None]) -> None:
        self._writers = writers
        self._complain = complain
        self._waiting: deque[tuple[str, Any]] = deque()
        self._since = 0.0
        """When the disk was first found full; 0 while it takes what it is given."""
        self._lost = 0

    def put(self, name: str, record: Any) -> str:
        """Write a record behind all that waits, as far as the disk takes it; says when it took everything again."""
        self._waiting.append((name, record))
        try:
            while self._waiting:
                waiting, content = self._waiting[0]
                self._writers[waiting](content)
                self._waiting.popleft()
        except OSError as error:
            self._full(error)
            return ""
        return self._relief() if self._since else ""

    def forget_after(self, step: int) -> None:
        """Drop the rows of later steps: the run goes back."""
        kept = [(name, _until(record, step)) for name, record in self._waiting]
        self._waiting = deque((name, record) for name, record in kept if len(record))

    def __len__(self) -> int:
        """Records that wait."""
        return len(self._waiting)

    def _full(self, error: OSError) -> None:
        if not self._since:
            self._since = time.monotonic()
            self._complain(f"the run directory takes no records ({error.strerror or error}): they wait in memory")
        if len(self._waiting) > MOST:
            self._waiting.popleft()
            self._lost += 1

    def _relief(self) -> str:
        seconds, lost = time.monotonic() - self._since, self._lost
        self._since, self._lost = 0.0, 0
        gone = f"{lost:,} did not fit there and are lost" if lost else "none is lost"
        return f"the run directory took no records for {seconds:,.0f} s: they waited in memory, {gone}"


def _until(record: str | Rows, step: int) -> str | Rows:
    return record if isinstance(record, str) else record[: rows_until(record, step)]
