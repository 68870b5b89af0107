"""Names as messages may show them."""

from collections.abc import Iterable


def printable(name: object) -> str:
    """The name with every control character and broken byte written as an escape: a file name must not drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(name))


def listed(names: Iterable[object], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    words = [printable(name) for name in names]
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
