"""Several processes that train one run, without torchrun: forked from one that has imported torch already."""

import multiprocessing
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from cockpit.runs.directory import RunDir

CONTEXT: Any = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["crew_warm"])
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
"""Where the process that the others are forked from looks for crew_warm."""
Order = tuple[int, str, dict[str, str]]
PATIENCE = 120


def train_together(
    run: RunDir, size: int = 2, resume: bool = False, orders: Sequence[Order] = (), codes: Sequence[int] = ()
) -> None:
    """Train a run in `size` processes; `orders` are commands (verb, arguments) posted after a step.

    Each of the others leaves the weights it ended with beside the run's checkpoints, as rank1.pt and so on.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    crew = [CONTEXT.Process(target=_be, args=(rank, size, port, run.path, resume, orders)) for rank in range(size)]
    for process in crew:
        process.start()
    for process in crew:
        process.join(PATIENCE)
    got = [process.exitcode for process in crew]
    assert got == list(codes or [0] * size), (got, run.log.read_text() if run.log.exists() else "")


def _be(rank: int, size: int, port: int, path: Path, resume: bool, orders: Sequence[Order]) -> None:
    said = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in said.items()}, MASTER_ADDR="127.0.0.1")
    torch.set_num_threads(1)
    run = RunDir(path)
    _lead(run, resume, orders) if rank == 0 else _follow(run, rank)


def _lead(run: RunDir, resume: bool, orders: Sequence[Order]) -> None:
    from cockpit.host.crew import part
    from cockpit.host.flight import Flight
    from cockpit.runs.mailbox import Command

    flight = Flight(run, resume=resume, say=lambda text: None)
    obey, waiting = flight.control.obey, list(orders)

    def posting(job: Any, recorder: Any, keeper: Any) -> Any:
        while waiting and job.step >= waiting[0][0]:
            _, verb, args = waiting.pop(0)
            flight.control.post(Command(verb, args))
        return obey(job, recorder, keeper)

    flight.control.obey = posting  # type: ignore[method-assign]
    flight.fly()
    part(flight.end.state != "failed" if flight.end else False)


def _follow(run: RunDir, rank: int) -> None:
    from cockpit.engine import distributed_follow, loop

    def train(job: Any, *crew: Any) -> Any:
        end = loop.train(job, *crew)
        with job.settled():
            torch.save(job.model.state_dict(), run.path / "checkpoints" / f"rank{rank}.pt")
        return end

    distributed_follow.train = train
    distributed_follow.follow(lambda: None)
