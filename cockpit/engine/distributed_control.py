"""Who decides where several processes train: the first obeys, between two steps at which all stand, and the others follow.

Every so many steps the first says whether something waits. It is said one such meeting ahead, so that nobody has to wait for it
in the loop: what is read at a meeting was sent at the one before. Importing this needs no torch, as with `control`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cockpit.engine.control import Control, Crew, End
from cockpit.engine.distributed_place import place
from cockpit.recipe import dump, loads

if TYPE_CHECKING:
    from cockpit.engine.keeper import Keeper
    from cockpit.engine.recorder import Recorder
    from cockpit.engine.training import Training

GAP = 0.1
"""Seconds between two meetings, about."""
SILENCE = 10.0
"""Seconds after which the first looks for something to do unasked."""
MOST = 100
"""Steps between them at most."""


@dataclass(frozen=True)
class Orders:
    """What came of a meeting."""

    end: End | None = None
    recipe: str = ""
    """YAML; empty where nothing changed."""
    state: bytes = b""
    """Of the training, where its recipe changed or it went back."""


class Meetings:
    """Counts the steps to the next meeting; the same in every process."""

    def __init__(self) -> None:
        self._left = 1
        self._under_way: tuple[Any, Any] | None = None
        self._since = time.monotonic()
        self._gap = 1

    def due(self) -> bool:
        """Whether all stand at a meeting, a step being done."""
        self._left -= 1
        return self._left <= 0

    def read(self) -> bool:
        """Whether the first wanted to speak at this meeting, as it said at the last one."""
        from cockpit.engine.distributed import peers

        if self._under_way is None:
            self._left = 1
            return False
        message, work = self._under_way
        self._under_way = None
        with peers():
            work.wait()
        speaks, self._left = message.tolist()
        return bool(speaks)

    def close(self) -> None:
        """There is no other meeting: let the word that is under way arrive, or its thread outlives the process group."""
        if self._under_way is not None:
            self.read()

    def send(self, speaks: bool) -> None:
        """For the next meeting; what the first says counts."""
        import torch
        import torch.distributed as dist

        from cockpit.engine.distributed import peers

        now = time.monotonic()
        step, self._since = (now - self._since) / self._gap, now
        self._gap = self._left
        message = torch.tensor([int(speaks), max(1, min(MOST, int(GAP / max(step, 1e-9))))])
        with peers():
            self._under_way = message, dist.broadcast(message, src=0, async_op=True)


class Lead(Control):
    """The control of the first process."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._meetings = Meetings()
        self._spoke = time.monotonic()

    def obey(self, job: Training, recorder: Recorder, keeper: Keeper) -> End | None:
        """As ever, but only at a meeting; then the others are told what came of it."""
        if not self._meetings.due():
            return None
        end = None
        if self._meetings.read():
            end = self._speak(None, Crew(job, recorder, keeper))
        self._meetings.send(self._wants(recorder, keeper))
        return end

    def close(self) -> None:
        """The training is over."""
        self._meetings.close()

    def recover(self, error: Exception, job: Training, recorder: Recorder, keeper: Keeper) -> End | None:
        """After a step raised, as it did in every process."""
        return self._speak(error, Crew(job, recorder, keeper))

    def _wants(self, recorder: Recorder, keeper: Keeper) -> bool:
        waits = self._waiting or self.paused or self.again or recorder.trouble or keeper.logbook.rising
        if time.monotonic() - self._spoke > SILENCE:
            return True  # what is due by the clock is done where commands are obeyed
        return bool(waits) or (self.auto and self._evaluations != len(keeper.logbook.history.evaluations))

    def _speak(self, error: Exception | None, crew: Crew) -> End | None:
        from cockpit.engine.distributed import packed, share_buffers, world

        job, recorder, self._spoke = crew.job, crew.recorder, time.monotonic()
        share_buffers(job)
        recipe, step = job.recipe, job.step
        if error is None and recorder.trouble:
            error, recorder.trouble = recorder.trouble, None
        end = super().recover(error, *crew) if error else super().obey(*crew)
        if job.recipe is recipe and job.step == step:
            orders = Orders(end)
        else:
            orders = Orders(end, dump(job.recipe), packed(job.state_dict()))
        world().tell(orders)
        return end


class Follow(Control):
    """The control of every other process."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._meetings = Meetings()

    def obey(self, job: Training, recorder: Recorder, keeper: Keeper) -> End | None:
        """What the first process decided, if this is a step at which it may."""
        if not self._meetings.due():
            return None
        end = self._listen_to_it(job) if self._meetings.read() else None
        self._meetings.send(False)
        return end

    def close(self) -> None:
        """The training is over."""
        self._meetings.close()

    def recover(self, error: Exception, job: Training, recorder: Recorder, keeper: Keeper) -> End | None:
        """After a step raised, as it did in every process: the first knows what to do."""
        return self._listen_to_it(job)

    @staticmethod
    def _listen_to_it(job: Training) -> End | None:
        from cockpit.engine.distributed import share_buffers, unpacked, world

        share_buffers(job)
        orders: Orders = world().tell()
        if orders.recipe:
            job.rewire(loads(orders.recipe.encode(), "recipe.yaml"))
            job.load_state_dict(unpacked(orders.state))
            job.probe.after()
            job.probe.meter.take()
        return orders.end


def control_here() -> Control:
    """The control that a host needs: alone, or as the first of several processes."""
    return Lead() if place().size > 1 else Control()
