"""The network of a finished run, rebuilt from its directory: recipe, weights, and the statistics it saw its images by."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cockpit.families import Model
from cockpit.recipe import Recipe, RecipeError, loads
from cockpit.runs.directory import RunDir, RunError, find, runs_root
from cockpit.runs.events import DataFacts
from cockpit.runs.history import read_history
from cockpit.travel import Task


@dataclass(frozen=True)
class Finished:
    """A trained network, on the CPU and in evaluation mode."""

    model: nn.Module
    task: Task
    """What it was trained for."""
    mean: Tensor
    """float (1, C, 1, 1): what its images were standardised by, in [0, 1]."""
    std: Tensor
    recipe: Recipe

    def standardise(self, x: Tensor) -> Tensor:
        """Images in [0, 1] as this network saw its own, (B, C, H, W) on the device of `mean`."""
        return (x - self.mean) / self.std


def finished(path: str, task: Task | None = None, weights: Literal["best", "last"] = "best") -> Finished:
    """The network of a run, named by its directory, its id or its name.

    ValueError where there is no such run, where it has no weights yet, where its network cannot be rebuilt, and, given a
    task, where it was trained for other images or another number of classes. Draws no random numbers that others would miss.
    """
    run = _found(path)
    recipe = _recipe(run)
    facts = _facts(run)
    own = Task(facts.channels, facts.height, facts.width, len(facts.classes), recipe.data.mirrored)
    if task is not None:
        _check_task(run, own, task)
    with torch.random.fork_rng(devices=()):
        model = _model(run, recipe).build(own)
    _load(model, run, recipe, weights)
    plain = recipe.data.standardise == "none"
    mean, std = ((0.0,) * own.channels, (1.0,) * own.channels) if plain else (facts.mean, facts.std)
    return Finished(model.eval(), own, _per_channel(mean), _per_channel(std), recipe)


def _who(run: RunDir) -> str:
    return f"run {run.id} ({run.name})"


def _found(path: str) -> RunDir:
    if not path.strip():
        raise ValueError("name a finished run: its directory, its id or its name; `cockpit runs` lists them")
    try:
        return find(runs_root(), path)
    except RunError as error:
        raise ValueError(str(error)) from error


def _recipe(run: RunDir) -> Recipe:
    try:
        return loads(run.recipe.read_bytes(), "recipe.yaml")
    except (OSError, RecipeError) as error:
        raise ValueError(f"the recipe of {_who(run)} cannot be read: {error}") from error


def _facts(run: RunDir) -> DataFacts:
    started = read_history(run).started
    if started is None:
        raise ValueError(f"{_who(run)} never began to train, so it has no network to offer")
    return started.data


def _check_task(run: RunDir, own: Task, task: Task) -> None:
    if own.classes != task.classes:
        raise ValueError(f"{_who(run)} tells {own.classes} classes apart, and this task has {task.classes}")
    theirs, ours = own[:3], task[:3]
    if theirs != ours:
        raise ValueError(f"{_who(run)} takes {_shape(own)} images, and this task has {_shape(task)}")


def _shape(task: Task) -> str:
    return f"{task.height}x{task.width}x{task.channels}"


def _model(run: RunDir, recipe: Recipe) -> Model:
    """The recipe's model, without a file of weights that the checkpoint replaces anyway."""
    if recipe.model.runs_code:
        raise ValueError(f"the network of {_who(run)} is code from a file, which only that run may execute")
    if any(field.name == "pretrained" for field in dataclasses.fields(recipe.model)):
        changed: dict[str, Any] = {"pretrained": None}
        return dataclasses.replace(recipe.model, **changed)
    return recipe.model


def _load(model: nn.Module, run: RunDir, recipe: Recipe, weights: str) -> None:
    path = run.checkpoint(weights)
    try:
        model.load_state_dict(_read(path)["model"])
    except FileNotFoundError as error:
        raise ValueError(f"{_who(run)} has no checkpoint {path.name} yet") from error
    except (pickle.UnpicklingError, OSError, EOFError) as error:
        raise ValueError(f"checkpoint {path.name} of {_who(run)} is damaged, or holds more than weights") from error
    except (RuntimeError, KeyError, TypeError, AttributeError, ValueError) as error:
        changing = [name for name, trick in recipe.tricks.items() if "model" in trick.card.seams]
        why = f"its tricks changed the network ({', '.join(changing)})" if changing else "it is damaged, or of another version"
        raise ValueError(f"checkpoint {path.name} of {_who(run)} does not fit its recipe: {why}") from error


def _read(path: Path) -> dict[str, Any]:
    with warnings.catch_warnings(action="ignore"):  # what torch says of a strange file, the error says in our words
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
