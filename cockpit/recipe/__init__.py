"""What a recipe may say: YAML to typed values, every fault with its place."""

from collections.abc import Sequence

from cockpit.recipe.conflicts import cautions, tags_of
from cockpit.recipe.decode import decode_recipe
from cockpit.recipe.differences import Change, changes
from cockpit.recipe.edits import Edit, apply, edit, parse_edit
from cockpit.recipe.faults import Fault, RecipeError
from cockpit.recipe.nodes import parse
from cockpit.recipe.plan import at_seams, lay
from cockpit.recipe.shipped import Preset, locate, presets, read
from cockpit.recipe.values import Notify, Recipe, Train
from cockpit.recipe.write import dump, to_tree

__all__ = [
    "Change",
    "Fault",
    "Notify",
    "Preset",
    "Recipe",
    "RecipeError",
    "Train",
    "at_seams",
    "cautions",
    "changes",
    "dump",
    "edit",
    "lay",
    "load",
    "loads",
    "presets",
    "tags_of",
    "to_tree",
]


def load(source: str, edits: Sequence[str] = ()) -> Recipe:
    """The recipe of a file or a preset's name, with `path=value` edits made. Raises RecipeError."""
    path = locate(source)
    return loads(read(path, str(path)), str(path), edits)


def loads(text: str | bytes, file: str = "<text>", edits: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML text, with `path=value` edits made. Raises RecipeError with every fault of both."""
    faults: list[Fault] = []
    parsed: list[Edit] = []
    for each in edits:
        try:
            parsed.append(parse_edit(each))
        except RecipeError as error:
            faults += error.faults
    try:
        root, known = parse(text, file)
    except RecipeError as error:
        raise RecipeError([*error.faults, *faults]) from error
    faults += known + [fault for one in parsed for fault in one.faults]
    return decode_recipe(apply(root, parsed), faults)
