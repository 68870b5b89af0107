"""How the launch screen writes its banner, presets and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cockpit.ui.format import plain_terminal
from cockpit.ui.model.words import clean

if TYPE_CHECKING:
    from cockpit.recipe import Preset
    from cockpit.ui.model.launch import RunRow

RUNS_SHOWN = 50
NAME = 20
BANNER = Content.assemble(
    ("cockpit", "bold $primary"),
    ("  `-._____  " if plain_terminal() else "  ⠉⠑⠒⠢⠤⢄⣀⣀⣀  ", "$accent"),
    ("train neural networks by instruments", "$foreground 60%"),
)


def order(preset: Preset) -> tuple[bool, bool, str]:
    """The one for newcomers first, those that fall ill on purpose last."""
    return preset.name != "first_flight", preset.name.startswith("sick_"), preset.name


def heading(title: str, note: str) -> Content:
    """The line above a list."""
    return Content.assemble((title, "bold $accent"), (f"  {note}", "$foreground 60%"))


def preset_line(preset: Preset, width: int) -> Content:
    """Name and purpose."""
    name = Content.styled(f"  {preset.name:<{NAME}}  ", "bold")
    return (name + Content.styled(clean(preset.about), "$foreground 60%")).truncate(width, ellipsis=True)


def run_line(row: RunRow, width: int) -> Content:
    """Name, state, how far, how good, how old; the least needed is cut where the screen is narrow."""
    sign, word, tone = row.state
    flags = f"{'▲'} {row.flags}" if row.flags else ""
    return Content.assemble(
        f"  {row.name:<{NAME}.{NAME}}  ",
        (f"{sign} {word:<12}", f"${tone}"),
        f"{row.best:>7}  ",
        (f"{flags:<5}", "$warning"),
        (f"{row.progress:<14}{row.age:<12}", "$foreground 60%"),
        (row.run.id, "$foreground 60%"),
    ).truncate(width, ellipsis=True)
