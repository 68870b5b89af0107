"""A run of the past as tricks may use it: its recipe, how it saw its images, and its weights. Plain reading, no network."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cockpit.recipe import Recipe, RecipeError, loads
from cockpit.runs.archive import ArchiveError, inspect
from cockpit.runs.directory import RunDir, RunError, find, runs_root
from cockpit.runs.events import DataFacts
from cockpit.runs.history import read_history


@dataclass(frozen=True)
class Past:
    """Read from a run directory. Every fault is a ValueError whose text is one sentence."""

    run: RunDir

    @property
    def who(self) -> str:
        """What messages call it."""
        return f"run {self.run.id} ({self.run.name})"

    @cached_property
    def recipe(self) -> Recipe:
        """As it was started."""
        try:
            return loads(self.run.recipe.read_bytes(), "recipe.yaml")
        except (OSError, RecipeError) as error:
            raise ValueError(f"the recipe of {self.who} cannot be read: {error}") from error

    @cached_property
    def facts(self) -> DataFacts:
        """Its images; `mean` and `std` are what the network saw them standardised by."""
        started = read_history(self.run).started
        if started is None:
            raise ValueError(f"{self.who} never began to train, so it has no network to offer")
        return started.data

    @property
    def mean(self) -> Tensor:
        """float (1, C, 1, 1), in [0, 1]."""
        return torch.tensor(self.facts.mean, dtype=torch.float32).view(1, -1, 1, 1)

    @property
    def std(self) -> Tensor:
        """float (1, C, 1, 1)."""
        return torch.tensor(self.facts.std, dtype=torch.float32).view(1, -1, 1, 1)

    def state(self, which: str) -> dict[str, Tensor]:
        """The weights of its `best` or `last` checkpoint, on the CPU."""
        path = self.run.checkpoint(which)
        try:
            inspect(path)
            with warnings.catch_warnings(action="ignore"):  # what torch says of a strange file, the error says in our words
                saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            state: dict[str, Tensor] = saved["model"]
        except FileNotFoundError as error:
            raise ValueError(f"{self.who} has no checkpoint {path.name} yet") from error
        except ArchiveError as error:
            raise ValueError(f"checkpoint {path.name} of {self.who} {error}") from error
        except pickle.UnpicklingError as error:
            raise ValueError(f"checkpoint {path.name} of {self.who} holds more than weights and was not loaded") from error
        except Exception as error:  # torch's reader raises whatever a damaged file makes it raise
            raise ValueError(f"checkpoint {path.name} of {self.who} is damaged, or holds more than weights") from error
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError(f"checkpoint {path.name} of {self.who} is none of ours: it holds no named weights")
        return state


def past(wanted: str) -> Past:
    """A run by its directory, its id or its name. ValueError where there is none."""
    if not wanted.strip():
        raise ValueError("name a finished run: its directory, its id or its name; `cockpit runs` lists them")
    try:
        return Past(find(runs_root(), wanted))
    except RunError as error:
        raise ValueError(str(error)) from error
