"""A terminal cockpit for training neural networks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cockpit.watch.run import watch as watch


def __getattr__(name: str) -> Any:
    """`from cockpit import watch`: the callable, loaded when it is asked for, so that the commands need no torch."""
    if name == "watch":
        from importlib import import_module

        return import_module("cockpit.watch")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
