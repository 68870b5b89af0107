"""`--set path=value`: edits in the grammar of the recipe, applied to its tree before it is decoded.

`optimizer=adam` takes another member; of the old one's knobs only those that every member has are kept
(`schedule.warmup_epochs`). A knob of a trick that is off switches the trick on. Whether a path is legal is the decoder's
to say: an edit only puts a value where the path points, and the fault then has the edit for its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cockpit import catalog
from cockpit.cards import knobs_of
from cockpit.families import CHOICES, Member, discriminator
from cockpit.recipe.decode import decode_recipe
from cockpit.recipe.faults import Fault, Place, RecipeError, fault
from cockpit.recipe.nodes import Entry, Map, Node, Scalar, parse_value, plant
from cockpit.recipe.scalars import truth
from cockpit.recipe.values import Recipe
from cockpit.recipe.write import to_tree


@dataclass(frozen=True)
class Edit:
    """A value and the path it goes to."""

    path: tuple[str, ...]
    value: Node
    faults: tuple[Fault, ...] = ()
    """What is wrong with the value's YAML and leaves it readable."""


def parse_edit(text: str) -> Edit:
    """An edit from `path=value`. Raises RecipeError."""
    path, equals, value = text.partition("=")
    if not equals:
        message = f"expected path=value, such as optimizer.lr=0.1, got {text[:60]!r}"
        raise RecipeError([fault(Place("--set"), "", message)])
    return make_edit(path.strip(), value)


def make_edit(path: str, value: str) -> Edit:
    """An edit from a dotted path and a value in YAML. Raises RecipeError."""
    keys = tuple(path.split("."))
    if not all(keys):
        message = f"expected a path such as optimizer.lr, got {path[:60]!r}"
        raise RecipeError([fault(Place(f"--set {path[:60]}".strip()), "", message)])
    if keys[0] in CHOICES and len(keys) > 1 and keys[-1] == _discriminator(keys[:-1]):
        keys = keys[:-1]
    node, faults = parse_value(value, f"--set {path[:60]}")
    return Edit(keys, node, tuple(faults))


def apply(root: Map, edits: Sequence[Edit]) -> Map:
    """The tree with the edits made, in their order."""
    for edit in edits:
        root = _put(root, edit.path, edit.value, ())
    return root


def edit(recipe: Recipe, path: str, value: str) -> Recipe:
    """The recipe with one value changed. Raises RecipeError."""
    change = make_edit(path, value)
    root = plant(to_tree(recipe), Place("recipe"))
    assert isinstance(root, Map)
    return decode_recipe(apply(root, [change]), change.faults)


def _put(into: Map, path: tuple[str, ...], node: Node, above: tuple[str, ...]) -> Map:
    key = _written(into, path[0], above)
    old = into.entries[key].value if key in into.entries else None
    here = (*above, path[0])
    new = _put(_opened(old, here, node.place), path[1:], node, here) if path[1:] else _replaced(old, node, here)
    place = into.entries[key].place if path[1:] and isinstance(old, Map) else node.place
    return Map(into.place, {**into.entries, key: Entry(key, place, new)})


def _written(into: Map, key: str, above: tuple[str, ...]) -> str:
    """The key under which a trick stands in the file, which may be an alias."""
    if above not in (("tricks",), ("flags",)):
        return key
    cards = (catalog.toggles() if above == ("tricks",) else catalog.flags()).values()
    names = next((names for card in cards if key in (names := (card.name, *card.aliases))), ())
    return next((name for name in names if name in into.entries), key)


def _opened(old: Node | None, here: tuple[str, ...], place: Place) -> Map:
    """The mapping that a path goes through: a name alone becomes the mapping that says no more than the name."""
    if isinstance(old, Map):
        return old
    switch = len(here) == 2 and here[0] in ("tricks", "flags")
    if not isinstance(old, Scalar) or old.null or (switch and truth(old) is not None):
        return Map(place, {})
    key = _discriminator(here)
    return Map(place, {key: Entry(key, old.place, old)})


def _replaced(old: Node | None, node: Node, here: tuple[str, ...]) -> Node:
    if not isinstance(node, Scalar) or node.null or not isinstance(old, Map):
        return node
    if len(here) == 1 and here[0] in CHOICES:
        key = _discriminator(here)
        shared = {name: entry for name, entry in old.entries.items() if name in _shared_knobs(here[0])}
        return Map(node.place, {key: Entry(key, node.place, node), **shared})
    # A trick that is on already keeps its knobs.
    return old if len(here) == 2 and here[0] in ("tricks", "flags") and truth(node) else node


def _discriminator(path: tuple[str, ...]) -> str:
    """The key that names the member which a path leads to."""
    return discriminator(path[0]) if len(path) == 1 else "name"


def _shared_knobs(family: str) -> set[str]:
    """The knobs that every member of a family has from its base."""
    return {knob.name for base in Member.__subclasses__() if base.family == family for knob in knobs_of(base)}
