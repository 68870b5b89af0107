"""Demonstrations: small experiments that make one idea visible. No run is made of them and nothing is kept.

Each is a module with frozen `Settings`, whose fields are knobs, and a function `run(settings, say)` that returns a frozen
`Result`; `cockpit.demos.pages` draws it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cockpit.demos.panels import Page

Say = Callable[[str], None]
"""Called with a line of progress."""


@dataclass(frozen=True)
class Demo:
    """One demonstration."""

    name: str
    settings: type[Any]
    run: Callable[[Any, Say], Any]
    page: "Callable[[Any], Page]"

    @property
    def summary(self) -> str:
        """The first line of what its settings say of it."""
        return (getdoc(self.settings) or "").partition("\n")[0]

    @property
    def details(self) -> str:
        """The rest."""
        return (getdoc(self.settings) or "").partition("\n")[2].strip()


def demos() -> Mapping[str, Demo]:
    """Every demonstration by name."""
    from cockpit.demos import decision_map, next_token_toy, optimizer_race, pages

    every = (
        Demo("decision_map", decision_map.Settings, decision_map.run, pages.decision_page),
        Demo("optimizer_race", optimizer_race.Settings, optimizer_race.run, pages.race_page),
        Demo("next_token_toy", next_token_toy.Settings, next_token_toy.run, pages.next_token_page),
    )
    return {demo.name: demo for demo in every}
