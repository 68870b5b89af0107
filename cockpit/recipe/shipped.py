"""The recipes that ship with the cockpit, and how a recipe is found by file or by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

from cockpit.recipe.faults import Place, RecipeError, fault
from cockpit.recipe.hints import near
from cockpit.recipe.nodes import MAX_BYTES


@dataclass(frozen=True)
class Preset:
    """A recipe that ships with the cockpit."""

    name: str
    path: Path
    about: str
    """What it is for."""


def presets() -> list[Preset]:
    """Every shipped recipe, by name."""
    return [Preset(path.stem, path, _about(path)) for path in sorted(folder().glob("*.yaml"))]


def locate(source: str) -> Path:
    """The file of a recipe: a path, or the name of a preset. Raises RecipeError."""
    shipped = {path.stem: path for path in folder().glob("*.yaml")}
    if source in shipped:
        return shipped[source]
    path = Path(source)
    try:
        if source and path.is_dir():
            raise RecipeError([fault(Place(source), "", "this is a folder, not a recipe", _inside(path))])
        if source and path.exists():
            return path
        files = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml")]
    except (OSError, ValueError):  # too long, a null byte, or a folder that is not there or closed to us
        files = []
    hint = near(path.name, [*shipped, *files]) or "`cockpit presets` lists the shipped ones"
    raise RecipeError([fault(Place(""), "", f"no recipe file and no preset is called {source[:200]!r}", hint)])


def read(path: Path, name: str) -> bytes:
    """The bytes of a recipe, never much more than a recipe may have. Raises RecipeError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError([fault(Place(name), "", f"cannot be read: {error.strerror}")]) from error


def folder() -> Path:
    """`presets` inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    return package / "presets" if (package / "presets").is_dir() else package.parent / "presets"


def _inside(folder: Path) -> str:
    files = sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml"))
    return f"did you mean {folder / files[0]}?" if files else ""


def _about(path: Path) -> str:
    """The text after the key `about`, read without going further than that; empty where there is none."""
    try:
        for key, value in pairwise(_scalars(path)):
            if key == "about":
                return value.strip()
    except (OSError, ValueError, yaml.YAMLError):
        pass
    return ""


def _scalars(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for event in yaml.parse(file, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.ScalarEvent):
                yield event.value
