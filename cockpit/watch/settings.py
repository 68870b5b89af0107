"""What `watch` is told, checked: every fault is a ValueError of one sentence."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

from cockpit.engine.probes import layers_of
from cockpit.recipe.decode import decode_recipe
from cockpit.recipe.faults import Place, RecipeError
from cockpit.recipe.nodes import plant
from cockpit.runs.events import Layer
from cockpit.watch.passes import Pass, passes_of

if TYPE_CHECKING:
    from cockpit.diagnosis import Flag

UNTOLD = 100
"""Updates that count as an epoch in a loop that does not say how many it has."""


@dataclass(frozen=True)
class Settings:
    """The arguments of `watch`, in the form that the rest uses."""

    model: nn.Module
    """What the loop calls."""
    net: nn.Module
    """The network inside it, without what compiles or distributes it."""
    optimizer: Optimizer
    optimized: frozenset[int]
    """Ids of the weights in the hands of any optimizer."""
    several: bool
    """There are other optimizers beside it."""
    name: str
    runs: Path | None
    criterion: Any
    epochs: int
    steps_per_epoch: int
    """0 where it is not told."""
    total_steps: int
    """0 where it is not told."""
    probe: tuple[Pass, ...]
    classes: tuple[str, ...]
    accumulate: int
    every: int
    flags: Mapping[str, Any]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.net.parameters()).device

    @property
    def layers(self) -> list[tuple[Layer, nn.Parameter]]:
        """Its layers with weights that ask for gradients; none where it cannot be looked into, as TorchScript may not."""
        with suppress(Exception):
            return layers_of(self.net, self.optimized)
        return []


def checked(model: Any, optimizer: Any, name: Any, runs: Any, probe: Any, classes: Any, flags: Any, **rest: Any) -> Settings:
    """The settings of a run. Raises ValueError."""
    net = bare(model)
    if not isinstance(net, nn.Module) or next(net.parameters(), None) is None:
        raise ValueError("watch: model must be a torch.nn.Module with weights")
    optimizers = _optimizers(optimizer, net)
    counts = {key: _count(key, rest[key]) for key in ("epochs", "steps_per_epoch", "total_steps", "accumulate", "every")}
    per_epoch, total, epochs = counts["steps_per_epoch"], counts["total_steps"], counts["epochs"]
    if total and epochs and not per_epoch:
        per_epoch = max(1, total // epochs)
    flags_of(flags or {})
    return Settings(
        model=model,
        net=net,
        optimizer=optimizers[0],
        several=len(optimizers) > 1,
        optimized=frozenset(id(weight) for one in optimizers for group in one.param_groups for weight in group["params"]),
        name=str(name) or "watched",
        runs=_folder(runs),
        criterion=_criterion(rest["criterion"]),
        epochs=epochs,
        steps_per_epoch=per_epoch,
        total_steps=total or epochs * per_epoch,
        probe=passes_of(probe, next(net.parameters()).device) if probe is not None else (),
        classes=_classes(classes),
        accumulate=counts["accumulate"] or 1,
        every=counts["every"] or 10,
        flags=dict(flags or {}),
    )


def bare(model: Any) -> Any:
    """The network inside what compiles it or spreads it over devices."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def flags_of(said: Mapping[str, Any]) -> dict[str, "Flag"]:
    """The flags that a mapping in the grammar of a recipe's `flags:` leaves on. Raises ValueError."""
    if not isinstance(said, Mapping):
        raise ValueError("watch: flags must be a mapping such as {'overfitting': False}")
    if odd := next((key for key in said if not isinstance(key, str)), None):
        raise ValueError(f"watch: flags=... has the key {odd!r}; its keys are names of flags")
    # A recipe must say what it trains on and with; only its flags are wanted here.
    tree = plant({"data": "digits", "model": "mlp", "flags": dict(said)}, Place("watch: flags=..."))
    try:
        return dict(decode_recipe(tree).flags)  # type: ignore[arg-type]
    except RecipeError as error:
        # There is no recipe in which `flags` could be a section.
        named = [replace(fault, trail=fault.trail.removeprefix("flags").removeprefix(".")) for fault in error.faults]
        raise ValueError(str(RecipeError(named))) from None


def _optimizers(said: Any, net: nn.Module) -> list[Optimizer]:
    """Several may be given; the updates of the first are counted and measured."""
    given = list(said) if isinstance(said, Sequence) else [said]
    found = [_unwrapped(one) for one in given]
    if not found or not all(isinstance(one, Optimizer) for one in found):
        raise ValueError("watch: optimizer must be a torch.optim.Optimizer, or a list of them")
    weights = {id(weight) for weight in net.parameters()}
    # What a library wraps may hold copies of its own of the weights.
    if found[0] is given[0] and not any(id(weight) in weights for group in found[0].param_groups for weight in group["params"]):
        which = "the first optimizer" if len(found) > 1 else "optimizer"
        raise ValueError(f"watch: {which} holds no weight of model, but those of another network; make it from this model's")
    return found


def _criterion(said: Any) -> Any:
    if isinstance(said, type):
        raise ValueError(f"watch: criterion is the class {said.__name__}; give an instance of it, such as {said.__name__}()")
    if said is not None and not callable(said):
        raise ValueError("watch: criterion must be what the loop calls with (logits, targets), such as nn.CrossEntropyLoss()")
    return said


def _folder(said: Any) -> Path | None:
    if said is None or isinstance(said, Path):
        return said
    if not isinstance(said, (str, os.PathLike)) or isinstance(os.fspath(said), bytes):
        raise ValueError(f"watch: runs must be a folder, as text or a path, not {said!r}")
    return Path(said)


def _unwrapped(optimizer: Any) -> Any:
    """Libraries wrap optimizers; the hooks hang on the one that moves the weights."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer


def _count(key: str, value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"watch: {key} must be a whole number above 0, not {value!r}")
    return value


def _classes(said: Any) -> tuple[str, ...]:
    if said is None:
        return ()
    if isinstance(said, int) and not isinstance(said, bool) and said > 1:
        return tuple(str(number) for number in range(said))
    if isinstance(said, Sequence) and not isinstance(said, str) and len(said) > 1:
        return tuple(str(each) for each in said)
    raise ValueError("watch: classes must be the names of the classes, or how many there are (2 or more)")
