"""A seeded mutator: bytes, tokens, values and structure of texts that were good once."""

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 10**30, -(10**5000), 0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"), "", " ", "on",
    "off", "null", "nan", "é\u202e", "\x1b[2J", "\x00", "x" * 3000, "../../etc", "~", "/dev/zero", "a=b", "a: b", [], {}, [[]],
    [1, 2], {"a": 1}, {"name": "sgd"}, {"name": None}, {1: 2}, [{"name": "x"}], {"on": "on"},
)  # fmt: skip
TOKENS = (
    "!!python/object/apply:os.system ['true']", "!!binary x", "!!set {a, b}", "!!timestamp 2001-01-01", "&a", "*a", "<<: *a",
    "{", "}", "[", "]", "- ", ": ", "---\n", "...\n", "\t", "%YAML 9.9\n", ".nan", ".inf", "1e400", "0x_", "0o9", "1_0", "~",
    "'", '"', "|\n", ">\n", "#", ",", "\n", "\r", "\ufeff", "\u2028", "2001-02-30", "12:30:45", "on", "off", "yes", "-", "=",
)  # fmt: skip


def mutate(text: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A text changed one to four times, by any of the kinds."""
    kinds: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...]
    kinds = (_bytes, _tokens, _values, _structure, _likely, _likely)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        text = chance.choice(kinds)(text, others, chance)
    return text


def _bytes(text: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    data = bytearray(text)
    for _step in range(chance.choice((1, 1, 3, 20))):
        at, length = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 8, 60))
        match chance.randrange(5):
            case 0:
                data[at : at + length] = b""
            case 1:
                data[at:at] = chance.randbytes(length)
            case 2 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 3:
                data[at:at] = data[at : at + length] * chance.choice((2, 3, 200))
            case _:
                del data[at:]
    return bytes(data)


def _tokens(text: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    words = re.findall(r"\w+|\s+|.", text.decode("utf-8", "replace"), re.DOTALL) or [""]
    more = re.findall(r"\w+", chance.choice(others).decode("utf-8", "replace"))
    for _ in range(chance.choice((1, 1, 2, 6))):
        at = chance.randrange(len(words))
        match chance.randrange(4):
            case 0:
                words[at] = chance.choice(TOKENS)
            case 1:
                words[at] = chance.choice(more)
            case 2:
                other = chance.randrange(len(words))
                words[at], words[other] = words[other], words[at]
            case _:
                words.insert(at, chance.choice(TOKENS))
    return "".join(words).encode("utf-8", "replace")


def _values(text: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    def change(tree: Any, place: Any) -> None:
        tree[place] = chance.choice(NASTY)

    return _in_tree(text, change, chance)


def _likely(text: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A value of the same name out of another text, or a number near by: what may well be right."""
    known: dict[str, list[Any]] = {}
    for node, key in _places(_tree(chance.choice(others))):
        known.setdefault(str(key), []).append(node[key])

    def change(tree: Any, place: Any) -> None:
        value = tree[place]
        if type(value) in (int, float) and chance.random() < 0.7:
            tree[place] = type(value)(value * chance.choice((0, 0.5, 2, 10)) + chance.choice((-1, 0, 1)))
        else:
            tree[place] = chance.choice(known.get(str(place), [value]))

    return _in_tree(text, change, chance)


def _structure(text: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    other = _tree(chance.choice(others))
    found = [node for node, _ in _places(other)] or [{}]

    def change(tree: Any, place: Any) -> None:
        match chance.randrange(6):
            case 0:
                del tree[place]
            case 1:
                tree[place] = chance.choice(found)
            case 2:
                tree[place] = [tree[place]] * chance.choice((1, 2, 50))
            case 3:
                tree[place] = {"name": tree[place]}
            case 4 if isinstance(tree, dict):
                tree[chance.choice(("name", "tricks", "data", "model", "", 7, None, "x" * 500))] = tree[place]
            case _:
                for _ in range(chance.choice((3, 30, 300))):
                    tree[place] = [tree[place]]

    return _in_tree(text, change, chance)


def _in_tree(text: bytes, change: Callable[[Any, Any], None], chance: random.Random) -> bytes:
    tree = _tree(text)
    places = _places(tree)
    if not places:
        return text
    try:
        change(*chance.choice(places))
        return yaml.safe_dump(tree, allow_unicode=True, default_flow_style=chance.choice((None, True, False))).encode()
    except (yaml.YAMLError, RecursionError, ValueError, UnicodeError):
        return text


def _tree(text: bytes) -> Any:
    try:
        return yaml.safe_load(text)
    except Exception:  # a text that was changed before
        return {}


def _places(tree: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every (holder, key) of a tree."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    found = [(tree, key) for key in keys]
    return found + [place for key in keys if depth < 20 for place in _places(tree[key], depth + 1)]
