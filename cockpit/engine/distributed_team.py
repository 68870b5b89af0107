"""A process's part in each step. Alone it is the whole step, and nothing is added to it.

Every process draws and prepares the whole batch, from the same streams, and keeps its slice: places, augmentation and mixing
are those of one process. Tricks that hold on to a batch from one seam to another (an attack, several images for one answer)
work on the slice from the beginning, and with draws of their own, as dropout does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from cockpit.engine.distributed import World, packed, unpacked, world
from cockpit.engine.distributed_gradients import Exchange
from cockpit.engine.distributed_norm import together
from cockpit.travel import Batch, Moment, Outcome

if TYPE_CHECKING:
    from cockpit.engine.training import Training
    from cockpit.engine.wiring import Wiring
    from cockpit.travel import Objective

HOLDERS = {"objective", "model", "loss"}
"""A trick that stands at one of these and at the batch looks for the very batch that it saw there."""


class Alone:
    """The team of a run of one process."""

    several = False
    accuracy: Tensor | None = None
    """Of the step's last part, over all processes, where the logits at hand do not tell."""

    def begin(self, job: Training) -> None:
        """Before the first step."""

    def batches(self, job: Training, parts: Sequence[Tensor], at: Moment) -> list[Batch]:
        """The images of a step as the tricks leave them; int64 places for each part."""
        return [job.wiring.batch(job.train.take(part), at.part(number)) for number, part in enumerate(parts)]

    def objective(self, inner: Objective) -> Objective:
        """The forward pass as this process makes it."""
        return inner

    def weigh(self, job: Training, loss: Tensor, batches: Sequence[Batch], number: int) -> Tensor:
        """The loss of a part, by its share of the step's images."""
        return loss if len(batches) == 1 else loss * (len(batches[number].x) / sum(len(batch.x) for batch in batches))

    def gather(self, seen: Outcome, batch: Batch) -> Outcome:
        """After the backward pass: the gradients and the loss of the whole step."""
        return seen


class _Share(NamedTuple):
    """What a process has of a part."""

    share: float
    """Of the images of the part."""
    split: bool
    """Whether it has other images than the other processes."""
    images: int
    """Of the part, over all processes."""


class Team(Alone):
    """One of several processes. Where a part has too few images for all of them, each takes it whole."""

    several = True

    def __init__(self, here: World) -> None:
        self._here = here
        self._exchange = Exchange(here.data)
        self._shares: dict[int, _Share] = {}
        """By the identity of a batch of the step."""
        self._at: Moment | None = None

    def begin(self, job: Training) -> None:
        """Start from the state of the first process."""
        state = self._here.tell(packed(job.state_dict()) if self._here.first else None)
        if not self._here.first:
            job.load_state_dict(unpacked(state))

    def batches(self, job: Training, parts: Sequence[Tensor], at: Moment) -> list[Batch]:
        """This process's slice of each part."""
        self._at, self._shares = at, {}
        _seed(at, "batch", job.device)
        return [self._slice(job, part, at.part(number)) for number, part in enumerate(parts)]

    def _slice(self, job: Training, places: Tensor, at: Moment) -> Batch:
        if holds(job.wiring):
            cut, share = self._part(len(places))
            batch = job.wiring.batch(job.train.take(places[cut]), self._own(at))
        else:
            whole = job.wiring.batch(job.train.take(places), at)
            cut, share = self._part(len(whole.x))
            batch = Batch(whole.x[cut], whole.y[cut], whole.ids[cut])
        self._shares[id(batch)] = share
        return batch

    def _part(self, count: int) -> tuple[slice, _Share]:
        rank, size = self._here.rank, self._here.size
        if count < 2 * size:
            return slice(0, count), _Share(1 / size, False, count)
        cut = slice(count * rank // size, count * (rank + 1) // size)
        return cut, _Share((cut.stop - cut.start) / count, True, count)

    def _own(self, at: Moment) -> Moment:
        """The same moment with draws that no other process makes; the first makes those of a run of one."""
        rank = self._here.rank
        return at._replace(stream=lambda name: at.stream(f"{name}@{rank}")) if rank else at

    def objective(self, inner: Objective) -> Objective:
        """With draws of its own, and batch norm over all processes."""

        def shared(batch: Batch, at: Moment) -> Outcome:
            own = self._own(at)
            _seed(own, "forward", batch.x.device)
            with together(self._shares[id(batch)].split):
                return inner(batch, own)

        return shared

    def weigh(self, job: Training, loss: Tensor, batches: Sequence[Batch], number: int) -> Tensor:
        """By its share of the images of all processes; from the last part on, gradients leave as they come."""
        if number + 1 == len(batches):
            self._exchange.arm(job.optimizer.param_groups)
        mine = self._shares[id(batches[number])]
        return loss * (mine.share * mine.images / sum(self._shares[id(batch)].images for batch in batches))

    @torch.no_grad()
    def gather(self, seen: Outcome, batch: Batch) -> Outcome:
        """Gradients, loss and accuracy summed over the processes; the logits stay those of this one."""
        nan = seen.loss.new_full((), torch.nan)
        right = nan if batch.y.is_floating_point() else (seen.logits.argmax(1) == batch.y).float().mean()
        numbers = torch.stack([seen.loss.float(), right * self._shares[id(batch)].share])
        loss, self.accuracy = self._exchange.finish(numbers).unbind()
        assert self._at is not None
        _seed(self._at, "update", batch.x.device)
        return Outcome(loss, seen.logits)


def holds(wiring: Wiring) -> bool:
    """Whether a trick looks for the very batch again that it saw at the batch seam."""
    plan = wiring.plan
    return not set(plan.get("batch", ())).isdisjoint(name for seam in HOLDERS for name in plan.get(seam, ()))


def _seed(at: Moment, name: str, device: torch.device) -> None:
    """Where torch's own generators stand is a function of seed, step and process: no checkpoint need hold it for each."""
    seed = at.stream(f"torch {name}").initial_seed()
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


def team() -> Alone:
    """This process's, in the world that it has joined."""
    return Team(world()) if world().size > 1 else Alone()
