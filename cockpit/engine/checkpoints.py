"""Checkpoints: written beside, flushed, renamed, and loaded with weights_only."""

import errno
import os
import pickle
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cockpit.runs.archive import ArchiveError, inspect
from cockpit.runs.log import flush
from cockpit.runs.private import opener


class CheckpointError(Exception):
    """A checkpoint that cannot be read; the text is one sentence."""


def save(path: Path, state: dict[str, Any], spare: Path | None = None) -> None:
    """Write a checkpoint whole or not at all; it takes its place once it was read back. OSError when the disk is full.

    `spare`: where the one that it replaces goes on.
    """
    part = path.with_suffix(".part")
    try:
        with open(part, "wb", opener=opener) as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        inspect(part)
        _read(part, mapped=True)
        if spare and path.exists():
            link(path, spare)
        os.replace(part, path)
        flush(path.parent)  # a new name outlives a power cut only once its folder is on the disk
    except RuntimeError as error:  # what torch's writer says when the file took only a part
        raise OSError(errno.ENOSPC, "the disk took only a part of it") from error
    except (ArchiveError, CheckpointError) as error:
        raise OSError(errno.EIO, "what was written does not read back") from error
    finally:
        part.unlink(missing_ok=True)


def load(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; nothing in it may be code. Raises CheckpointError.

    `mapped`: weights are read from the disk when they are used, if ever, and are not proved whole.
    """
    try:
        inspect(path, whole=not mapped)
        return _read(path, mapped=mapped)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path.name} yet") from error
    except ArchiveError as error:
        raise CheckpointError(f"checkpoint {path.name} {error}") from error
    except PermissionError as error:
        raise CheckpointError(f"checkpoint {path.name} cannot be read: {error.strerror}") from error


def _read(path: Path, *, mapped: bool) -> dict[str, Any]:
    """What torch reads in an archive that was looked at."""
    try:
        with warnings.catch_warnings(action="ignore"):  # what torch says of a strange file, the error says in our words
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (FileNotFoundError, PermissionError):
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"checkpoint {path.name} holds more than weights and was not loaded") from error
    except Exception as error:  # torch's reader raises whatever a damaged file makes it raise
        raise CheckpointError(f"checkpoint {path.name} is damaged: {_first_line(error)}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"checkpoint {path.name} is not one of ours")
    return state


def step_of(path: Path) -> int:
    """The step at which a checkpoint was written; -1 where there is none that can be read."""
    try:
        return int(load(path, mapped=True)["step"])
    except (CheckpointError, KeyError, TypeError, ValueError):
        return -1


def link(path: Path, to: Path) -> None:
    """The same checkpoint under a second name, without a second copy where the file system can: none is ever written over.

    OSError when the disk is full.
    """
    part = to.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(path, part)
        except OSError:  # a file system without links
            shutil.copyfile(path, part)
        os.replace(part, to)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Around the use of a checkpoint: one that holds something else than the recipe's network raises CheckpointError."""
    try:
        yield
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {path.name} does not fit this recipe: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split()[:30]) or type(error).__name__
