"""A short form: `pretrain: masked_autoencoder` stands for the trick of that name, and is written out before decoding."""

from cockpit import catalog
from cockpit.recipe.hints import near
from cockpit.recipe.members import Decoding
from cockpit.recipe.nodes import Entry, Map, Node, Scalar, describe

KEY = "pretrain"


def written_out(work: Decoding, root: Map) -> Map:
    """The tree with the pretraining among the tricks; what is wrong with it is blamed where it stands."""
    entry = root.entries.get(KEY)
    if entry is None:
        return root
    rest = {key: other for key, other in root.entries.items() if key != KEY}
    trick = _trick(work, entry)
    tricks = rest.get("tricks")
    if trick is None or (tricks and not isinstance(tricks.value, Map)):
        return Map(root.place, rest)
    held = dict(tricks.value.entries) if tricks and isinstance(tricks.value, Map) else {}
    if trick.key in held:
        work.blame(entry.place, KEY, f"tricks.{trick.key} says it already", "keep one")
    place = tricks.place if tricks else entry.place
    return Map(root.place, {**rest, "tricks": Entry("tricks", place, Map(place, {**held, trick.key: trick}))})


def _trick(work: Decoding, entry: Entry) -> Entry | None:
    """The trick that is meant, with its knobs; None where there is none."""
    node = entry.value
    knobs = dict(node.entries) if isinstance(node, Map) else {}
    said: Node | None = knobs.pop("name").value if "name" in knobs else None if isinstance(node, Map) else node
    if isinstance(said, Scalar) and (said.null or said.text in ("none", "off")):
        return None
    ways = [name for name, card in catalog.toggles().items() if card.family == "pretraining" and "no_labels" in card.tags]
    if not isinstance(said, Scalar) or said.text not in ways:
        what = describe(said) if said else "no name"
        hint = near(said.text, ways) if isinstance(said, Scalar) else ""
        work.blame(entry.place, KEY, f"expected one of {', '.join(ways)}, got {what}", hint)
        return None
    value = Map(said.place, knobs) if knobs else Scalar(said.place, "on")
    return Entry(said.text, entry.place, value)
