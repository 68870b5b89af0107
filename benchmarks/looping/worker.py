"""One column: imports its library once, then forks a child for each case, which trains only when asked for.

Lines of JSON come in on standard input and go out on what was standard output. {"case": name, "threads": n, "by": clock,
"folder": path} opens a case; {"steps": n} trains so many and answers with the seconds; {"over": 1} ends the case.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ASKED = os.fdopen(os.dup(0), "r")
ANSWERS = os.fdopen(os.dup(1), "w")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""The second is for a busy machine: what all threads of the process cost, waiting left out."""


def answer(**said: object) -> None:
    print(json.dumps(said), file=ANSWERS, flush=True)


class Gate:
    """`step` is called between two steps; it waits for the next order when those asked for are done."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.facts: dict[str, str] = {}
        """Told once the column is ready to train."""
        self._left = 0
        self._began: float | None = None

    def step(self) -> None:
        if self._left:
            self._left -= 1
            return
        if self._began is None:
            answer(open=True, **self.facts)
        else:
            answer(seconds=self._clock() - self._began)
        order = json.loads(ASKED.readline() or '{"over": 1}')
        if "over" in order:
            os._exit(0)
        self._left = order["steps"] - 1
        self._began = self._clock()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What happens within takes no time."""
        began = self._clock()
        yield
        if self._began is not None:
            self._began += self._clock() - began


def drive(loop: Iterator[None], gate: Gate) -> None:
    """Train with a loop that yields after each step."""
    gate.step()
    for _ in loop:
        gate.step()


class Column(NamedTuple):
    prepare: Callable[[], None]
    """Imports; ImportError where a library is missing."""
    run: Callable[..., None]
    """(case, gate, folder for runs); calls the gate between two steps."""


def columns() -> dict[str, Column]:
    from looping import own, peers

    return {**own.COLUMNS, **peers.COLUMNS}


def main() -> None:
    name = sys.argv[1]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a library prints
    column = columns()[name]
    try:
        column.prepare()
    except ImportError as error:
        answer(missing=str(error))
        return
    answer(ready=name)
    while line := ASKED.readline():
        if "case" not in (order := json.loads(line)):
            continue  # to a child that has left
        child = os.fork()
        if child == 0:
            serve(column, order)
        answer(closed=os.waitpid(child, 0)[1])


def serve(column: Column, order: dict) -> None:
    import torch

    from cockpit.bench.cases import CASES

    torch.set_num_threads(order["threads"])
    try:
        gate = Gate(CLOCKS[order["by"]])
        column.run(CASES[order["case"]], gate, Path(order["folder"]))
    except BaseException as error:
        answer(failed=repr(error))
        raise
    finally:
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
