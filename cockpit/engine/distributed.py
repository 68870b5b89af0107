"""The processes that train one run together: who is there, and how they tell each other things between two steps.

They are started by torchrun, which says in the environment who each one is. What is told goes over gloo, on the CPU, and so
waits for no GPU; the gradients of each step have a group of their own (`distributed_gradients`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from cockpit.engine.device import pick_device
from cockpit.engine.distributed_place import place
from cockpit.recipe import dump

if TYPE_CHECKING:
    from cockpit.engine.training import Training
    from cockpit.recipe import Recipe

FOREVER = timedelta(days=300)
"""How long the others wait for the first: a run may be paused for weeks. One that dies is noticed at once, all the same."""


class PeerLostError(Exception):
    """Another process of the run is gone; the text is one sentence."""


@dataclass
class World:
    """The processes of a run, as one of them sees them; a run of one process is a world of one."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """This process's number on its machine."""
    data: Any = None
    """The process group for what lies on the device; None: the one that everything else is told in."""

    @property
    def first(self) -> bool:
        """Whether this process keeps the records and obeys the user."""
        return self.rank == 0

    def tell(self, value: Any = None) -> Any:
        """What the first process says, everywhere."""
        if self.size == 1:
            return value
        told = [value]
        with peers():
            dist.broadcast_object_list(told, src=0)
        return told[0]

    def collect(self, value: Any) -> list[Any]:
        """What every process says, by rank, everywhere."""
        if self.size == 1:
            return [value]
        told: list[Any] = [None] * self.size
        with peers():
            dist.all_gather_object(told, value)
        return told

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """First the first process, then one on each other machine, then all: a download must not meet itself."""
        mine = 0 if self.first else 1 if self.local == 0 else 2
        for _ in range(mine):
            self.collect(None)
        yield
        for _ in range(2 - mine):
            self.collect(None)


_here = World()


def world() -> World:
    """The world that this process has joined; of one, unless torchrun started it."""
    return _here


def join() -> World:
    """Meet the others that torchrun started, once; alone, nothing happens. Raises PeerLostError."""
    global _here
    if place().size > 1 and not dist.is_initialized():
        here = World(*place())
        with peers():
            store, _, _ = next(rendezvous("env://", timeout=FOREVER))
            # torchrun keeps one store through its restarts, and with it the addresses of those that died.
            life = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')} of {here.size}"
            own = PrefixStore(life, store)
            dist.init_process_group("gloo", store=own, rank=here.rank, world_size=here.size, timeout=FOREVER)
        _here = here
    return _here


def leave() -> None:
    """Part from the others: the run has ended."""
    global _here
    if _here.size > 1:
        dist.destroy_process_group()
        _here = World()


@dataclass(frozen=True)
class Plan:
    """What the others need to know of a run before they can build it."""

    recipe: str
    """YAML, with the edits that hold."""
    allow_code: bool


def muster(recipe: Recipe, allow_code: bool) -> None:
    """In the first process: have the others build the same training. Raises DeviceError, PeerLostError."""
    if join().size > 1:
        world().tell(Plan(dump(recipe), allow_code))
        connect(recipe)


def dismiss() -> None:
    """In the first process: let the others go."""
    if world().size > 1:
        world().tell(None)
        leave()


def connect(recipe: Recipe) -> None:
    """Open the group for gradients: nccl where every process has a GPU of its own, else gloo. Raises DeviceError."""
    device, here = pick_device(recipe.train.device), world()
    own = device.type == "cuda" and recipe.train.device in ("auto", "cuda")
    with peers():
        here.data = dist.new_group(backend="nccl" if own else "gloo")


@contextmanager
def peers() -> Iterator[None]:
    """Around an exchange: what torch raises where another process is gone becomes PeerLostError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # torch has a class for each backend, and gloo has none
        raise PeerLostError(f"another process of this run has ended: {' '.join(str(error).split())[:160]}") from error


def share_buffers(job: Training) -> None:
    """Running statistics that each process took from its own images become their mean; equal ones stay, to the bit."""
    own = [buffer for buffer in job.model.buffers() if buffer.is_floating_point()]
    if world().size == 1 or not own:
        return
    flat = torch.cat([buffer.double().flatten() for buffer in own])
    with peers():
        dist.all_reduce(flat, group=world().data)
    flat /= world().size
    for buffer, piece in zip(own, flat.split([buffer.numel() for buffer in own]), strict=True):
        buffer.copy_(piece.view_as(buffer))


def packed(state: dict[str, Any]) -> bytes:
    """A state as bytes that hold no code."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, Any]:
    """The state again, on the CPU."""
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state
