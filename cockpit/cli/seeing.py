"""Commands that show what the network sees and what it is made of."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cockpit.cli.base import BadInputError, CodeOpt, JsonOpt, RunArg, RunsOpt, SetOpt, app, guarded, only_json, say, show_json
from cockpit.datasets.words import printable
from cockpit.runs.directory import RunDir, RunError, find, list_runs, runs_root

EXAMINATIONS = ("weights", "noise_scale", "sharpness", "robust_accuracy")
"""What can be asked of a run that has trained."""


@app.command()
def preview(
    what: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help="A recipe, a preset, or a run.")],
    edits: SetOpt = None,
    count: Annotated[int, typer.Option(min=1, max=64, help="How many images.")] = 10,
    runs: RunsOpt = None,
    allow_code: CodeOpt = False,
    json: JsonOpt = False,
) -> None:
    """Show the next training batch as the tricks leave it: crops, flips, mixes and their mixed labels."""
    run = _run(what, runs)
    with only_json(json):
        seen = guarded(lambda: _thumbnails(what, run, edits or [], count, allow_code))
    plain = [each.plain() for each in seen]
    if json:
        show_json(plain)
    else:
        _draw(plain)


@app.command()
def examine(
    run: RunArg = None,
    wanted: Annotated[str, typer.Option("--with", metavar="CHECKS", help=f"All, or {', '.join(EXAMINATIONS)}.")] = "all",
    runs: RunsOpt = None,
    json: JsonOpt = False,
) -> None:
    """Examine the best weights of a run: histograms, gradient noise, sharpness."""
    names = EXAMINATIONS if wanted == "all" else tuple(wanted.replace(",", " ").split())
    for name in names:
        if name not in EXAMINATIONS:
            raise BadInputError(f"--with: unknown examination {name!r}; known: all, {', '.join(EXAMINATIONS)}")
    found = find(runs_root(runs), run)
    from cockpit.engine.checks import CHECKS
    from cockpit.engine.reopen import reopen

    with only_json(json):
        opened = guarded(lambda: reopen(found))
        opened.job.model.requires_grad_(True)
        seen = guarded(lambda: [CHECKS[name](opened.job) for name in names])
    if json:
        show_json({"id": found.id, "step": opened.step, "checks": [each.plain() for each in seen]})
        return
    for each in seen:
        for line in (f"{each.name}: {each.headline}", *(f"  {line}" for line in each.lines)):
            say(line)


def _run(what: str, runs: Path | None) -> RunDir | None:
    """The run of that name, where it is one and no recipe."""
    from cockpit.recipe import presets

    if Path(what).suffix in (".yaml", ".yml") or any(preset.name == what for preset in presets()):
        return None
    try:
        return find(runs_root(runs), what)
    except RunError:
        if any(key.startswith(what) for run in list_runs(runs_root(runs)) for key in (run.id, run.name, run.path.name)):
            raise  # it could be several
        return None


def _thumbnails(what: str, run: RunDir | None, edits: list[str], count: int, allow_code: bool) -> Any:
    from cockpit.recipe import load

    if run is not None:
        if edits:
            raise BadInputError("--set changes a recipe; a run's batch is what it is")
        from cockpit.engine.preview import of_run

        return of_run(run, count)
    decoded = load(what, edits)
    from cockpit.engine.preview import of_recipe

    return of_recipe(decoded, count, allow_code=allow_code)


def _draw(plain: list[dict[str, Any]]) -> None:
    """Rows of thumbnails with their captions, as many side by side as fit."""
    from rich.console import Console

    from cockpit.runs.thumbnails import CAPTION, picture, shrunk

    pictures = [picture(each) for each in plain]
    small = [shrunk(each.pixels, 32) for each in pictures]
    captions = [printable(each.caption)[:CAPTION] for each in pictures]
    wide = 2 + max(max(image.shape[1], len(caption)) for image, caption in zip(small, captions, strict=True))
    console = Console(highlight=False)
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and console.color_system is not None
    each_row = max(1, shutil.get_terminal_size().columns // wide)
    for start in range(0, len(small), each_row):
        part = slice(start, start + each_row)
        _draw_row(small[part], captions[part], wide, console if colours else None)


def _draw_row(images: list[Any], captions: list[str], wide: int, console: Any) -> None:
    """Images side by side, each on so many columns, their captions below; without a console as plain text."""
    from rich.text import Text

    from cockpit.runs.thumbnails import half_blocks, shaded

    for number in range(max((len(image) + 1) // 2 for image in images)):
        line = Text()
        for image in images:
            drawn: list[Any] = half_blocks(image) if console else [[(row, "")] for row in shaded(image)]
            pieces = drawn[number] if number < len(drawn) else []
            for piece in pieces:
                line.append(*piece)
            line.append(" " * (wide - sum(len(text) for text, _ in pieces)))
        if console:
            console.print(line, no_wrap=True, crop=False)
        else:
            say(line.plain.rstrip())
    say("".join(caption.ljust(wide) for caption in captions).rstrip())
