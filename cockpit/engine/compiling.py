"""torch.compile as a switch: what it must watch while the run flies, and what it says where it gives up."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

GRAPHS = ("reduce-overhead", "max-autotune")
"""Modes that replay CUDA graphs."""
LOGGER = "torch._dynamo.convert_frame"
"""Where torch says, to the terminal alone and at length, that it runs something uncompiled."""


class _Overheard(logging.Filter):
    """Turns what torch logs of a failure into one sentence, once for each kind of failure."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say, self._done = say, set[str]()

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what was said: nobody needs the traceback as well."""
        error = record.exc_info[1] if record.exc_info else None
        limit = "recompile_limit" in record.getMessage()
        if record.levelno < logging.WARNING or not (error or limit):
            return True
        line = next(iter(str(error).splitlines()), "")
        text = "its shapes or hooks changed too often" if limit else f"{type(error).__name__}: {line}"[:200]
        if text not in self._done:
            self._done.add(text)
            self._say(f"train.compile: torch runs the network as it is, uncompiled; {text}")
        return False


def compile_network(model: nn.Module, mode: str, say: Callable[[str], None]) -> None:
    """Compile at the first pass, in place; what cannot be compiled runs as it is, and `say` gets a sentence.

    Tricks that are switched while the run flies hang hooks on the network. torch compiles hooks in and then looks at them no
    more, unless told to, and such a trick would do nothing. A CUDA graph writes its answers to the same memory every time, and
    the record and evaluations keep those of many passes: they get copies.
    """
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    logger = logging.getLogger(LOGGER)
    for old in [each for each in logger.filters if isinstance(each, _Overheard)]:
        logger.removeFilter(old)
    logger.addFilter(_Overheard(say))
    model.compile(mode=mode)
    compiled = model._compiled_call_impl
    if mode in GRAPHS and compiled is not None:
        model._compiled_call_impl = partial(_copied, compiled)


def _copied(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return tree_map_only(Tensor, Tensor.clone, call(*args, **kwargs))
