"""`from cockpit import watch`: a few lines give a loop of the user's own a run directory, the flags, and `cockpit attach`.

The module itself can be called, since a package and a function cannot have one name: `watch(model, optimizer, ...)`.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """See `cockpit.watch.run.watch`."""
        from cockpit.watch.run import watch

        return watch(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
