"""Whether two runs are the same, bit for bit, in all that a clock has no part in."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from cockpit.runs.directory import RunDir
from cockpit.runs.history import History, read_history
from cockpit.runs.tables import Rows

CLOCKS = ("t", "time", "speed", "probing", "seconds")
"""Columns and fields that tell of time."""


def differences(one: RunDir, other: RunDir) -> list[str]:
    """What is not the same of the weights and all other state, the tables, the evaluations, the findings and the edits."""
    return [*_histories(read_history(one), read_history(other)), *_checkpoints(one, other)]


def _histories(one: History, other: History) -> Iterator[str]:
    for table in ("steps", "layers"):
        yield from _tables(table, getattr(one, table), getattr(other, table))
    for name in ("evaluations", "findings", "edits"):
        ours, theirs = (_plain(getattr(history, name)) for history in (one, other))
        if ours != theirs:
            at = next((n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), "the length")
            yield f"{name} differ at {at}: {len(ours)} and {len(theirs)}"
    ends = [history.ended and (history.ended.state, history.ended.step) for history in (one, other)]
    if ends[0] != ends[1]:
        yield f"the ends differ: {ends[0]} and {ends[1]}"


def _plain(events: Any) -> list[str]:
    """As text, in which a NaN is equal to a NaN; floats have all their digits in it."""
    found = []
    for event in events:
        fields = asdict(event)
        found.append(f"{event.kind} " + repr({key: fields[key] for key in fields if key not in CLOCKS}))
    return found


def _tables(name: str, one: Rows, other: Rows) -> Iterator[str]:
    if len(one) != len(other):
        yield f"{name}: {len(one)} and {len(other)} rows"
        return
    for column in one.dtype.names or ():
        ours, theirs = (np.ascontiguousarray(rows[column]) for rows in (one, other))
        if column not in CLOCKS and ours.tobytes() != theirs.tobytes():
            at = int(np.argmax(ours.view(np.uint8) != theirs.view(np.uint8))) // ours.itemsize
            yield f"{name}.{column} differs from row {at} on (step {one['step'][at]})"


def _checkpoints(one: RunDir, other: RunDir) -> Iterator[str]:
    ours, theirs = ({path.stem for path in run.checkpoint("last").parent.glob("*.pt")} for run in (one, other))
    wanted = {"last", "best", *(name for name in ours | theirs if name.startswith("epoch"))}
    if lacking := wanted & (ours ^ theirs):
        yield f"only one has the checkpoints {', '.join(sorted(lacking))}"
    for name in sorted(wanted & ours & theirs):
        states = [torch.load(run.checkpoint(name), weights_only=True) for run in (one, other)]
        yield from (f"checkpoint {name}: {where}" for where in _values(*states, where=""))


def _values(one: Any, other: Any, where: str) -> Iterator[str]:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or one.shape != other.shape or not torch.equal(_bits(one), _bits(other)):
            yield f"{where} differs"
    elif isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            yield f"{where} has other keys"
        for key in one.keys() & other.keys():
            yield from _values(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            yield f"{where} is {len(one)} and {len(other)} long"
        for number, pair in enumerate(zip(one, other, strict=False)):
            yield from _values(*pair, where=f"{where}[{number}]")
    elif repr(one) != repr(other):
        yield f"{where}: {one!r} and {other!r}"


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
