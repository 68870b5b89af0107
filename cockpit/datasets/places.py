"""Where data lies, and a bounded look around there."""

import os
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import platformdirs

DEPTH = 4
FOLDERS = 2000
ENTRIES = 2000
"""Bounds of the search: levels below the root, folders opened, entries looked at in one folder."""


def data_root() -> Path:
    """The data folder: COCKPIT_DATA, else the platform's folder for the user."""
    return Path(os.environ.get("COCKPIT_DATA") or platformdirs.user_data_path("cockpit") / "data").expanduser()


def folders(root: Path) -> Iterator[tuple[Path, frozenset[str]]]:
    """Folders at and below the root, nearest first, each with the names of its files; hidden folders are passed over."""
    waiting = deque([(root, 0)])
    for _ in range(FOLDERS):
        if not waiting:
            return
        folder, depth = waiting.popleft()
        try:
            with os.scandir(folder) as entries:
                seen = sorted(islice(entries, ENTRIES), key=lambda entry: entry.name)
        except OSError:
            continue
        inner = [entry for entry in seen if entry.is_dir()]
        yield folder, frozenset(entry.name for entry in seen) - {entry.name for entry in inner}
        if depth < DEPTH:
            waiting.extend((Path(entry.path), depth + 1) for entry in inner if not entry.name.startswith("."))
