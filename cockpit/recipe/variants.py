"""A file of variants: names, each with the edits that make it from one recipe."""

from cockpit.recipe.edits import parse_edit
from cockpit.recipe.faults import Fault, Place, RecipeError, fault
from cockpit.recipe.hints import near
from cockpit.recipe.nodes import List, Node, Scalar, describe, parse
from cockpit.recipe.shipped import folder, locate, read

Variants = dict[str, list[str]]


def load_variants(source: str) -> Variants:
    """Name -> edits, from a file or one that ships. Raises RecipeError with the place of every fault."""
    shipped = {path.stem: path for path in (folder() / "variants").glob("*.yaml")}
    try:
        path = shipped.get(source) or locate(source)
    except RecipeError as error:
        hint = near(source, shipped)
        raise RecipeError([fault(Place(""), "", f"no file of variants is called {source[:200]!r}", hint)]) from error
    text = read(path, str(path))
    if not text.strip():
        raise RecipeError([fault(Place(str(path)), "", "no variants here; write `name: [path=value, ...]`")])
    root, faults = parse(text, str(path))
    found: Variants = {}
    for key, entry in root.entries.items():
        edits, wrong = _edits(entry.value, key)
        faults += wrong
        found[key] = edits
    if faults:
        raise RecipeError(faults)
    return found


def _edits(node: Node, name: str) -> tuple[list[str], list[Fault]]:
    """The edits of one variant, and what is wrong with them."""
    if not isinstance(node, List):
        return [], [fault(node.place, name, f"expected a list such as [optimizer.lr=0.1], got {describe(node)}")]
    edits, faults = [], []
    for each in node.items:
        if not isinstance(each, Scalar):
            faults.append(fault(each.place, name, f"expected path=value, got {describe(each)}"))
            continue
        try:
            parse_edit(each.text)
            edits.append(each.text)
        except RecipeError as error:
            faults += [fault(each.place, name, one.message, one.hint) for one in error.faults]
    return edits, faults
