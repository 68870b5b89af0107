"""Which of several processes this one is, as torchrun says in the environment. Needs no torch."""

import os
from typing import NamedTuple


class Place(NamedTuple):
    """One process among those of a run."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """Its number on its machine."""


def place() -> Place:
    """This process's; the only one's, unless it was started as one of several."""
    said = os.environ
    if "RANK" not in said or "WORLD_SIZE" not in said:
        return Place()
    return Place(int(said["RANK"]), int(said["WORLD_SIZE"]), int(said.get("LOCAL_RANK", "0")))
