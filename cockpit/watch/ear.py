"""The form in which everything of ours hangs on the user's network and optimizer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any


class Ear:
    """A hook whose copy, deep or pickled, does nothing: a copy is another network, and nobody watches it.

    The copy holds nothing of ours, so that it can be read back where the cockpit is not installed.
    """

    __torch_unserializable__ = True
    """torch leaves hooks on weights out when it sends them to another process, and is not to warn of this one."""

    def __init__(self, hears: Callable[..., Any]) -> None:
        self._hears = hears

    def __call__(self, *heard: Any) -> Any:
        """What torch tells its hooks."""
        return self._hears(*heard)

    def __reduce__(self) -> tuple[Any, ...]:
        """Something of the standard library that takes whatever it is told and answers None."""
        return getattr, (nullcontext(), "__exit__")
