"""Makes a run directory from a recipe: what every front does before it starts a host."""

from collections.abc import Sequence
from pathlib import Path

from cockpit.recipe import Recipe, dump
from cockpit.runs import directory
from cockpit.runs.directory import RunDir


def new_run(recipe: Recipe, root: Path, name: str, *, allow_code: bool, command: Sequence[str]) -> RunDir:
    """A run directory with the resolved recipe, ready for a host. RunError where it cannot be written."""
    return directory.create(root, name, dump(recipe), {"allow_code": allow_code, "command": list(command)})
