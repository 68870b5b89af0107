"""Styles as a terminal is told them (ECMA-48, "select graphic rendition"), and the shortest way from one to the next."""

from functools import lru_cache
from typing import NamedTuple

INVERTS = {"4", "7", "9", "21", "53"}
"""Attributes that are seen on a space too: underlined, reversed, struck out, underlined twice, overlined."""


class Look(NamedTuple):
    """A style in its parts, each as parameters of a sequence."""

    attributes: frozenset[str]
    foreground: str
    """Empty for the terminal's own; `background` likewise."""
    background: str


@lru_cache(4096)
def look(style: str) -> Look:
    """The parts of a style such as `1;38;2;255;0;0`."""
    codes = [code for code in style.split(";") if code]
    attributes: set[str] = set()
    colours = {"3": "", "4": ""}
    while codes:
        code = codes.pop(0)
        if code in ("38", "48"):
            more = 4 if codes[:1] == ["2"] else 2
            colours[code[0]] = ";".join([code, *codes[:more]])
            del codes[:more]
        elif len(code) > 1 and code[:-1] in ("3", "9", "4", "10"):
            colours["3" if code[:-1] in ("3", "9") else "4"] = "" if code in ("39", "49") else code
        elif code == "0":
            attributes, colours = set(), {"3": "", "4": ""}
        else:
            attributes.add(code)
    return Look(frozenset(attributes), colours["3"], colours["4"])


@lru_cache(4096)
def of_space(style: str) -> str:
    """The style as a space shows it: its foreground cannot be seen where nothing is drawn with it."""
    attributes, _, background = look(style)
    return style if attributes & INVERTS else background


@lru_cache(16384)
def change(old: str, new: str) -> str:
    """The sequence that takes a terminal from one style to another."""
    if old == new:
        return ""
    if not new:
        return "\x1b[0m"
    was, now = look(old), look(new)
    if was.attributes - now.attributes:  # there is no sequence for one attribute less that every terminal knows
        return f"\x1b[0;{new}m"
    codes = sorted(now.attributes - was.attributes)
    codes += [now.foreground or "39"] if now.foreground != was.foreground else []
    codes += [now.background or "49"] if now.background != was.background else []
    return f"\x1b[{';'.join(codes)}m" if codes else ""
