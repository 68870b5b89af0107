"""Whose a run is. Another user's may be looked at; it is not obeyed, and its consent to run code counts for nothing."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cockpit.runs.directory import RunDir, RunError


def stranger(run: RunDir) -> str:
    """Who else than the user owns a run, or one of the files that decide what it executes; nothing where nobody does."""
    if not hasattr(os, "geteuid"):  # Windows
        return ""
    for path in _deciding(run):
        try:
            owners = {path.lstat().st_uid, path.stat().st_uid}
        except OSError:  # not there, or it leads to nothing
            continue
        if (others := owners - {os.geteuid()}) and owners != {_owner_of_new_files(run.path)}:
            return _named(others.pop())
    return ""


def own(run: RunDir, deed: str) -> RunDir:
    """The run, if it is the user's own. RunError where it is another's: who writes its files decides what they make it do."""
    if whose := stranger(run):
        raise RunError(f"run {run.id} ({run.name}) belongs to {whose}: you may look at it, and not {deed} it")
    return run


def _deciding(run: RunDir) -> Iterator[Path]:
    kept = run.checkpoint("last").parent
    yield from (run.path, run.recipe, run.launch, run.events, run.mailbox, kept)
    try:
        yield from kept.glob("*.pt")
    except OSError:  # closed to us
        return


def _owner_of_new_files(folder: Path) -> int:
    """File systems of a network may say that all one makes on them is somebody else's. -1: nothing can be made there."""
    try:
        with tempfile.TemporaryFile(dir=folder) as made:
            return os.fstat(made.fileno()).st_uid
    except OSError:
        return -1


def _named(uid: int) -> str:
    try:
        import pwd

        return f"the user {pwd.getpwuid(uid).pw_name}"
    except (ImportError, KeyError):
        return f"another user (uid {uid})"
