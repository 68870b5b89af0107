"""The network of a finished run, rebuilt from its directory: recipe, weights, and the statistics it saw its images by."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cockpit.families import Model
from cockpit.nets.past import Past, past
from cockpit.recipe import Recipe
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
    found = past(path)
    recipe, facts = found.recipe, found.facts
    own = Task(facts.channels, facts.height, facts.width, len(facts.classes), recipe.data.mirrored)
    if task is not None:
        _check_task(found.who, own, task)
    with torch.random.fork_rng(devices=()):
        model = _model(found.who, recipe).build(own)
    _load(model, found, weights)
    return Finished(model.eval(), own, found.mean, found.std, recipe)


def _check_task(who: str, own: Task, task: Task) -> None:
    if own.classes != task.classes:
        raise ValueError(f"{who} tells {own.classes} classes apart, and this task has {task.classes}")
    theirs, ours = own[:3], task[:3]
    if theirs != ours:
        raise ValueError(f"{who} takes {_shape(own)} images, and this task has {_shape(task)}")


def _shape(task: Task) -> str:
    return f"{task.height}x{task.width}x{task.channels}"


def _model(who: str, recipe: Recipe) -> Model:
    """The recipe's model, without a file of weights that the checkpoint replaces anyway."""
    if recipe.model.runs_code:
        raise ValueError(f"the network of {who} is code from a file, which only that run may execute")
    if any(field.name == "pretrained" for field in dataclasses.fields(recipe.model)):
        changed: dict[str, Any] = {"pretrained": None}
        return dataclasses.replace(recipe.model, **changed)
    return recipe.model


def _load(model: nn.Module, found: Past, which: str) -> None:
    state = found.state(which)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        changing = [name for name, trick in found.recipe.tricks.items() if "model" in trick.card.seams]
        why = f"its tricks changed the network ({', '.join(changing)})" if changing else "it is damaged, or of another version"
        raise ValueError(f"checkpoint {which}.pt of {found.who} does not fit its recipe: {why}") from error
