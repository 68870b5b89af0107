"""YAML text to a plain tree whose every key and value knows its line and column.

A recipe is the part of YAML that people read without a manual: mappings, lists and scalars. Anchors, aliases, tags and
further documents are refused, so that no file can be larger than it looks or name code. Scalars keep their text: what
`off` or `1e-3` means depends on the knob it is for (cockpit.recipe.scalars).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from cockpit.recipe.faults import Fault, Place, RecipeError, fault
from cockpit.recipe.syntax import reword

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 20_000

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_DIGITS = r"\d+(_\d+)*"
NUMBER = re.compile(rf"[-+]?({_DIGITS}(\.({_DIGITS})?)?|\.{_DIGITS})([eE][-+]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Scalar:
    """A value as written."""

    place: Place
    text: str
    quoted: bool = False

    @property
    def null(self) -> bool:
        """Nothing, or one of YAML's words for it."""
        return not self.quoted and self.text in NULLS

    @property
    def number(self) -> bool:
        """It reads as a decimal number; underscores may group its digits."""
        return not self.quoted and len(self.text) <= 60 and NUMBER.fullmatch(self.text) is not None


@dataclass(frozen=True)
class Broken:
    """A value whose fault is already known; whoever meets it passes it over."""

    place: Place


@dataclass(frozen=True)
class List:
    """A list of values."""

    place: Place
    items: "tuple[Node, ...]"


@dataclass(frozen=True)
class Entry:
    """A key, where it stands, and its value."""

    key: str
    place: Place
    value: "Node"


@dataclass(frozen=True)
class Map:
    """Keys with their values, in the order of the file."""

    place: Place
    entries: Mapping[str, Entry]


Node = Scalar | List | Map | Broken


def parse(data: str | bytes, file: str) -> tuple[Map, list[Fault]]:
    """The mapping a recipe is, and the faults that leave the rest readable. Raises RecipeError where nothing is."""
    tree, faults = _parse(_text(data, file), file, marked=True)
    if isinstance(tree, Scalar) and tree.null:
        raise RecipeError([fault(Place(file), "", "the recipe is empty", "start from one that `cockpit presets` lists")])
    if not isinstance(tree, (Map, Broken)):
        message = f"a recipe is a mapping such as `optimizer: adam`, this is {describe(tree)}"
        raise RecipeError([*faults, fault(tree.place, "", message)])
    return tree if isinstance(tree, Map) else Map(tree.place, {}), faults


def parse_value(text: str, file: str) -> tuple[Node, list[Fault]]:
    """One value in the grammar of recipes; its faults have `file` for their place, without a line."""
    return _parse(_text(text, file), file, marked=False)


def plant(value: Any, place: Place) -> Node:
    """The tree of plain data, all of it at one place."""
    if isinstance(value, Mapping):
        return Map(place, {key: Entry(key, place, plant(item, place)) for key, item in value.items()})
    if isinstance(value, list):
        return List(place, tuple(plant(item, place) for item in value))
    if isinstance(value, str):
        return Scalar(place, value, quoted=True)
    if value is None or isinstance(value, bool):
        return Scalar(place, {True: "on", False: "off", None: "null"}[value])
    return Scalar(place, repr(value))


def describe(node: Node) -> str:
    """A node in the words of a message: `nothing`, `a list`, `-1`, `'fast'`."""
    if isinstance(node, List):
        return "a list"
    if isinstance(node, (Map, Broken)):
        return "a mapping"
    if node.null:
        return node.text or "nothing"
    if node.number:
        return node.text
    short = node.text if len(node.text) <= 40 else node.text[:37] + "..."
    return repr(short) + (" in quotes" if node.quoted else "")


def _text(data: str | bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        message = f"larger than {MAX_BYTES // 1_000_000} MB, which no recipe is"
        raise RecipeError([fault(Place(file), "", message, "is it the right file?")])
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8"))
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise RecipeError([fault(Place(file, line, column), "", message, "save the file as UTF-8 text")]) from error


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _parse(text: str, file: str, *, marked: bool) -> tuple[Node, list[Fault]]:
    builder = _Builder(file, marked)
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        place = Place(file, *_position(text[: error.position])) if marked else Place(file)
        raise RecipeError([fault(place, "", f"the character U+{error.character:04X} is not allowed in YAML")]) from error
    try:
        return builder.document(iter(loader.get_event, None)), builder.faults
    except yaml.MarkedYAMLError as error:
        at, message, hint = reword(error)
        raise RecipeError([*builder.faults, fault(builder.place(at), "", message, hint)]) from error
    except (ValueError, OverflowError) as error:  # PyYAML asks chr() and int() for what "\UFFFFFFFF" stands for
        place = builder.place(loader.get_mark())
        raise RecipeError([*builder.faults, fault(place, "", "an escape or number that YAML cannot read")]) from error


@dataclass
class _Builder:
    """Folds PyYAML's events into nodes, and notes what a recipe may not say."""

    file: str
    marked: bool
    faults: list[Fault] = field(default_factory=list)
    count: int = 0

    def place(self, mark: Any) -> Place:
        return Place(self.file, mark.line + 1, mark.column + 1) if self.marked and mark else Place(self.file)

    def blame(self, event: yaml.Event, trail: str, message: str, hint: str = "") -> None:
        self.faults.append(fault(self.place(event.start_mark), trail, message, hint))

    def refuse(self, event: yaml.Event, trail: str, message: str, hint: str = "") -> RecipeError:
        """The error of a text that is not worth reading on."""
        self.blame(event, trail, message, hint)
        return RecipeError(self.faults)

    def document(self, events: Iterator[yaml.Event]) -> Node:
        next(events)
        start = next(events)
        if isinstance(start, yaml.StreamEndEvent):
            return Scalar(self.place(None), "")
        tree = self.node(next(events), events, "", 0)
        next(events)
        more = next(events)
        if not isinstance(more, yaml.StreamEndEvent):
            raise self.refuse(more, "", "a second document starts here", "a file holds one recipe")
        return tree

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], trail: str, depth: int) -> Node:
        self.count += 1
        if depth > MAX_DEPTH:
            raise self.refuse(event, "", f"nested more than {MAX_DEPTH} levels deep", "a recipe needs four")
        if self.count > MAX_NODES:
            raise self.refuse(event, "", f"more than {MAX_NODES:,} values, which no recipe has", "is it the right file?")
        if isinstance(event, yaml.AliasEvent):
            self.blame(event, trail, f"the alias '*{event.anchor}' is not read", "write the value out")
            return Broken(self.place(event.start_mark))
        if event.anchor:  # type: ignore[attr-defined]
            self.blame(event, trail, f"the anchor '&{event.anchor}' is not read", "leave it out")  # type: ignore[attr-defined]
        node = self.content(event, events, trail, depth)
        if event.tag:  # type: ignore[attr-defined]
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")[:60]  # type: ignore[attr-defined]
            self.blame(event, trail, f"the tag {tag!r} is not read", "write the plain value")
            return Broken(node.place)
        return node

    def content(self, event: yaml.Event, events: Iterator[yaml.Event], trail: str, depth: int) -> Node:
        place = self.place(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(place, event.value, quoted=event.style is not None)
        if isinstance(event, yaml.MappingStartEvent):
            return Map(place, self.entries(events, trail, depth))
        items: list[Node] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self.node(event, events, f"{trail}[{len(items)}]", depth + 1))
        return List(place, tuple(items))

    def entries(self, events: Iterator[yaml.Event], trail: str, depth: int) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self.node(event, events, trail, depth + 1)
            name = key.text if isinstance(key, Scalar) else "?"
            value = self.node(next(events), events, f"{trail}.{name}" if trail else name, depth + 1)
            if isinstance(key, Broken):
                continue
            if not isinstance(key, Scalar):
                self.blame(event, trail, f"a key is a plain name, this is {describe(key)}")
            elif not name:
                self.blame(event, trail, "the name before ':' is missing")
            elif name in found:
                first = found[name].place
                where = f", first at line {first.line}" if first.line else ""
                self.blame(event, trail, f"the key {name[:40]!r} stands twice{where}", "keep one of the two")
            else:
                found[name] = Entry(name, key.place, value)
        return found
