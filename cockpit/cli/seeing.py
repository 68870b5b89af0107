"""Commands that show what the network sees and what it is made of."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cockpit.cli.base import BadInputError, CodeOpt, JsonOpt, RunArg, RunsOpt, SetOpt, app, guarded, only_json, say, show_json
from cockpit.runs.directory import RunDir, RunError, find, runs_root

EXAMINATIONS = ("weights", "noise_scale", "sharpness")
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
        seen = [CHECKS[name](opened.job) for name in names]
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
    from rich.text import Text

    from cockpit.runs.thumbnails import half_blocks, picture, shaded, shrunk

    pictures = [picture(each) for each in plain]
    console = Console(highlight=False)
    plain_text = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or console.color_system is None
    width = shutil.get_terminal_size().columns
    small = [shrunk(each.pixels, 32) for each in pictures]
    each_row = max(1, width // (max(image.shape[1] for image in small) + 2))
    for start in range(0, len(pictures), each_row):
        part = range(start, min(start + each_row, len(pictures)))
        tall = max((len(small[index]) + 1) // 2 for index in part)
        lines = [Text() for _ in range(tall + 1)]
        for index in part:
            wide = small[index].shape[1]
            lines[-1].append(pictures[index].caption[: wide + 1].ljust(wide + 2))
            drawn = shaded(small[index]) if plain_text else half_blocks(small[index])
            for line, row in zip(lines, drawn, strict=False):
                for piece in [row] if isinstance(row, str) else row:
                    line.append(*([piece] if isinstance(piece, str) else piece))
                line.append("  ")
        for line in lines:
            console.print(line, no_wrap=True, crop=False)
