"""The demonstrations: small experiments that make one idea visible."""

import difflib
import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cockpit.cards import knobs_of
from cockpit.cli.base import BadInputError, JsonOpt, app, guarded, only_json, say, show_json

if TYPE_CHECKING:
    from cockpit.demos import Demo
    from cockpit.demos.panels import Page

KnobsOpt = Annotated[
    list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="Change a knob of the demonstration: --set noise=0.3")
]


@app.command()
def demo(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which one; without a name, all are listed.")] = None,
    sets: KnobsOpt = None,
    json: JsonOpt = False,
) -> None:
    """Show an idea at work: decision regions, a race of optimizers, a transformer that writes digits."""
    from cockpit.demos import demos
    from cockpit.demos.settings import decode

    every = demos()
    if name is None:
        _list(list(every.values()), json)
        return
    if name not in every:
        near = difflib.get_close_matches(name, every, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(every)
        raise BadInputError(f"there is no demonstration called {name[:60]!r}; {hint}")
    chosen = every[name]
    settings = decode(chosen.settings, sets or [])
    with only_json(json):
        result = guarded(lambda: chosen.run(settings, lambda line: say(line, sys.stderr)))
    if json:
        show_json({"demo": name, **result.plain()})
    else:
        _draw(chosen.page(result))


def _list(every: "list[Demo]", json: bool) -> None:
    if json:
        show_json([{"name": one.name, "summary": one.summary, "knobs": _knobs(one)} for one in every])
        return
    for number, one in enumerate(every):
        for line in ("",) * bool(number) + (f"{one.name}  {one.summary}",):
            say(line)
        for line in textwrap.wrap(one.details, 110, initial_indent="  ", subsequent_indent="  "):
            say(line)
        for knob in _knobs(one):
            say(f"  {knob['name']} = {_written(knob['default'])} {knob['range']}".rstrip() + f"  {knob['help']}")


def _knobs(one: "Demo") -> list[dict[str, Any]]:
    return [
        {"name": knob.name, "type": knob.type, "default": knob.default, "range": knob.range, "help": knob.help}
        for knob in knobs_of(one.settings)
    ]


def _written(default: object) -> str:
    """As `--set` takes it."""
    return "[" + ", ".join(map(str, default)) + "]" if isinstance(default, tuple) else str(default)


def _draw(page: "Page") -> None:
    """Panels, table and curves, in colour where the terminal has it."""
    from rich.console import Console
    from rich.text import Text

    from cockpit.ui.format import plain_terminal

    console = Console(highlight=False)
    colourless = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or console.color_system is None
    width, plain = shutil.get_terminal_size().columns, colourless or plain_terminal()
    for row in page.rows(width, plain=plain):
        if plain:
            say("".join(text for text, _ in row).rstrip())
        else:
            console.print(Text.assemble(*row), no_wrap=True, crop=False)
    for line in page.lines:
        say(line)
    if page.curves:
        _chart(page, width)


def _chart(page: "Page", width: int) -> None:
    from cockpit.ui.plot.series import Series, Shape
    from cockpit.ui.plot.text import curve_text

    shapes: tuple[Shape, ...] = ("solid", "dashed", "dotted")
    series = [Series(curve.label, curve.x, curve.y, shape=shape) for curve, shape in zip(page.curves, shapes, strict=True)]
    for line in curve_text(series, min(120, width), 14).splitlines():
        say(line)
