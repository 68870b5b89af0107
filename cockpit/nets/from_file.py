"""A network from the user's own Python file."""

import difflib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from cockpit.nets.layers import MakeActivation, MakeNorm
from cockpit.nets.outputs import answer, check_output
from cockpit.travel import Task


def from_file(path: str, factory: str, task: Task, activation: MakeActivation, norm: MakeNorm) -> nn.Module:
    """Run the file and call its factory with those of the five common arguments that it accepts.

    They are in_channels, num_classes, image_size (height, width), activation() and norm(channels, spatial=...).
    ValueError where the file or the factory is missing, or what it returns is no network for the task; errors inside
    the user's code pass through as they are.
    """
    module = _run(Path(path).expanduser())
    offered = {
        "in_channels": task.channels,
        "num_classes": task.classes,
        "image_size": (task.height, task.width),
        "activation": activation,
        "norm": norm,
    }
    make = _factory(module, path, factory)
    net = make(**_accepted(make, offered))
    if not isinstance(net, nn.Module):
        raise ValueError(f"{factory} in {path} returned {type(net).__name__}; it must return a torch.nn.Module")
    check_output(answer(net, task), task, f"{factory} in {path}")
    return net


def _run(path: Path) -> ModuleType:
    if not _is_file(path):
        near = difflib.get_close_matches(path.name, [file.name for file in path.absolute().parent.glob("*.py")], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"looked in {path.absolute().parent}"
        raise ValueError(f"there is no file {path}; {hint}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # too long, or in a folder that is closed to us
        raise ValueError(f"the file {str(path)[:200]} cannot be read: {error.strerror}") from error


def _factory(module: ModuleType, path: str, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] | None = getattr(module, name, None)
    if callable(found):
        return found
    own = [key for key, item in vars(module).items() if callable(item) and getattr(item, "__module__", None) == module.__name__]
    hint = f"it defines {', '.join(own)}" if own else "it defines no function and no class"
    raise ValueError(f"{path} has no function or class {name!r}; {hint}")


def _accepted(make: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(make).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return offered
    return {name: value for name, value in offered.items() if name in parameters}
