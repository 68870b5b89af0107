"""What the text of a scalar means to a knob: the type is the knob's, never guessed from the text."""

import re
from typing import Any

from cockpit.cards import Knob
from cockpit.recipe.hints import near
from cockpit.recipe.nodes import NUMBER, Scalar, describe

YES = frozenset({"true", "yes", "on"})
NO = frozenset({"false", "no", "off"})
SCALARS = ("int", "float", "bool", "str", "choice")

_NOT_FINITE = re.compile(r"[-+]?\.?(nan|inf|infinity)", re.IGNORECASE)
_NOUNS = {"int": "a whole number", "float": "a number", "bool": "on or off", "str": "text"}
_PLURALS = {"int": "whole numbers", "float": "numbers", "bool": "on or off", "str": "texts"}


class UnfitError(Exception):
    """A value that a knob does not take."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def wanted(knob: Knob) -> str:
    """What a knob takes, as words that follow `expected`."""
    or_null = ", or null" if knob.optional else ""
    if knob.type.startswith("list["):
        item = knob.type[5:-1]
        return f"a list of {_PLURALS.get(item, item)}{_bounds(knob)}{or_null}"
    if knob.choices:
        return "one of " + ", ".join(map(str, knob.choices)) + or_null
    return _NOUNS.get(knob.type, f"the name of the {knob.type}") + _bounds(knob) + or_null


def _bounds(knob: Knob) -> str:
    if knob.low is not None and knob.high is not None:
        return f" from {_short(knob.low)} to {_short(knob.high)}"
    bounds = {"above {}": knob.above, "of {} or more": knob.low, "below {}": knob.below, "at most {}": knob.high}
    said = " and ".join(words.format(_short(bound)) for words, bound in bounds.items() if bound is not None)
    return f" {said}" if said else ""


def _short(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def truth(node: Scalar) -> bool | None:
    """True or False where the text is one of YAML's words for it, in any case."""
    word = "" if node.quoted else node.text.lower()
    return True if word in YES else False if word in NO else None


def decode_scalar(node: Scalar, knob: Knob) -> Any:
    """The value of a scalar for a knob. Raises UnfitError."""
    if node.null:
        if knob.optional:
            return None
        raise _unfit(node, knob)
    if knob.choices:
        return _choice(node, knob)
    if knob.type == "str":
        return node.text
    if knob.type == "bool":
        said = truth(node)
        if said is None:
            raise _unfit(node, knob)
        return said
    return _number(node, knob)


def _unfit(node: Scalar, knob: Knob, hint: str = "") -> UnfitError:
    if node.quoted and knob.type in ("int", "float", "bool"):
        hint = "drop the quotes"
    return UnfitError(f"expected {wanted(knob)}, got {describe(node)}", hint)


def _choice(node: Scalar, knob: Knob) -> Any:
    legal = {str(choice): choice for choice in knob.choices}
    if node.text not in legal:
        off = truth(node) is False and "none" in legal
        raise _unfit(node, knob, "did you mean 'none'?" if off else near(node.text, legal))
    return legal[node.text]


def _number(node: Scalar, knob: Knob) -> int | float:
    text = node.text
    if _NOT_FINITE.fullmatch(text):
        raise UnfitError(f"expected {wanted(knob)}, got {text}, which is not finite")
    if not node.number:
        comma = text.replace(",", ".")
        decimal = knob.type == "float" and "," in text and NUMBER.fullmatch(comma)
        raise _unfit(node, knob, f"did you mean {comma[:40]}?" if decimal else _null(text) if knob.optional else "")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise UnfitError(f"expected {wanted(knob)}, got {text}, which is too large")
    if knob.type == "int":
        return _whole(node, knob, value)
    return _within(node, knob, value)


def _null(text: str) -> str:
    return "write null to leave it out" if text.lower() in {"none", *NO} else ""


def _whole(node: Scalar, knob: Knob, value: float) -> int | float:
    digits = node.text.replace("_", "")
    if not value.is_integer():
        raise _unfit(node, knob, f"did you mean {round(value)}?")
    whole = int(digits) if digits.lstrip("+-").isdigit() else int(value)
    if abs(whole) >= 2**63:
        raise UnfitError(f"expected {wanted(knob)}, got {node.text}, which is too large")
    return _within(node, knob, whole)


def _within(node: Scalar, knob: Knob, value: int | float) -> int | float:
    outside = (
        (knob.low is not None and value < knob.low)
        or (knob.high is not None and value > knob.high)
        or (knob.above is not None and value <= knob.above)
        or (knob.below is not None and value >= knob.below)
    )
    if outside:
        raise _unfit(node, knob)
    return value
