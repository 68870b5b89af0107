"""PyYAML's syntax errors, in words for someone who does not know what a token is."""

from collections.abc import Callable
from typing import Any

import yaml

Words = tuple[Any, str, str]
"""The mark to show, the message, the hint."""


def reword(error: yaml.MarkedYAMLError) -> Words:
    """Where a syntax error is best shown, what it is, and what to do."""
    problem = error.problem or ""
    for sign, say in _SAYINGS.items():
        if sign in problem:
            return say(error, problem)
    return error.problem_mark, f"this is not YAML: {problem or error.context}", ""


def _start(error: yaml.MarkedYAMLError) -> Any:
    return error.context_mark or error.problem_mark


def _line(mark: Any) -> str:
    return f" at line {mark.line + 1}" if mark else ""


def _character(error: yaml.MarkedYAMLError, problem: str) -> Words:
    if "'\\t'" in problem:
        return error.problem_mark, "a tab stands here, and YAML takes spaces only", "replace tabs by spaces"
    character = problem.removeprefix("found character ").partition(" that")[0]
    return error.problem_mark, f"a value cannot start with {character}", "put it in quotes"


def _unclosed(error: yaml.MarkedYAMLError, problem: str) -> Words:
    bracket = problem.split("'")[3]
    opened = f"the bracket opened{_line(error.context_mark)} is not closed"
    return error.problem_mark, f"expected ',' or '{bracket}'", opened + ", or a comma is missing"


def _quote(error: yaml.MarkedYAMLError, problem: str) -> Words:  # noqa: ARG001  (all sayings are called alike)
    return _start(error), "the quote opened here is never closed", ""


def _colon(error: yaml.MarkedYAMLError, problem: str) -> Words:  # noqa: ARG001
    return _start(error), "expected `key: value`, found no ': '", "the colon needs a space after it"


def _nested(error: yaml.MarkedYAMLError, problem: str) -> Words:  # noqa: ARG001
    hint = "check the indentation and the space after each ':', or put the text in quotes"
    return error.problem_mark, "a ':' where no key can stand", hint


def _indent(error: yaml.MarkedYAMLError, problem: str) -> Words:
    if "found ':'" in problem:
        return error.problem_mark, "the name before ':' is missing", ""
    hint = "keys of one mapping start in one column"
    return error.problem_mark, f"this does not continue what began{_line(error.context_mark)}", hint


def _dash(error: yaml.MarkedYAMLError, problem: str) -> Words:  # noqa: ARG001
    return error.problem_mark, "a list entry '- ' where none can stand", "check the indentation"


def _escape(error: yaml.MarkedYAMLError, problem: str) -> Words:
    hint = "in double quotes a backslash starts an escape; use single quotes"
    return error.problem_mark, problem.replace("found ", "").replace("character ", ""), hint


def _tag(error: yaml.MarkedYAMLError, problem: str) -> Words:  # noqa: ARG001
    return error.problem_mark, "tags are not read", "write the plain value"


def _ended(error: yaml.MarkedYAMLError, problem: str) -> Words:  # noqa: ARG001
    return error.problem_mark, "the recipe has ended before this", "check the indentation"


_SAYINGS: dict[str, Callable[[yaml.MarkedYAMLError, str], Words]] = {
    "that cannot start any token": _character,
    "expected ',' or": _unclosed,
    "unexpected end of stream": _quote,
    "could not find expected ':'": _colon,
    "mapping values are not allowed": _nested,
    "expected <block end>": _indent,
    "sequence entries are not allowed": _dash,
    "unknown escape character": _escape,
    "undefined tag handle": _tag,
    "expected '<document start>'": _ended,
}
