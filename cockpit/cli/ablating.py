"""`cockpit ablate`: one recipe and its variants over several seeds, each compared with the recipe seed by seed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cockpit.cli.base import BadInputError, CodeOpt, JsonOpt, RecipeArg, RunsOpt, SetOpt, app, only_json, say, show_json
from cockpit.cli.repeating import gain_words, one_run, scores
from cockpit.runs.paired import mean_of, paired

BASE = "as it is"
VariantsArg = Annotated[str, typer.Argument(metavar="VARIANTS", help="A file `name: [path=value, ...]`, or deit_ablation.")]


@app.command()
def ablate(
    recipe: RecipeArg,
    variants: VariantsArg,
    edits: SetOpt = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How many seeds, from the recipe's own upwards.")] = 3,
    runs: RunsOpt = None,
    allow_code: CodeOpt = False,
    json: JsonOpt = False,
) -> None:
    """Train a recipe and each variant of it from several seeds: what every part of a recipe is worth."""
    from cockpit.recipe import changes, load
    from cockpit.recipe.variants import load_variants

    first = load(recipe, edits or ()).seed
    asked = {BASE: list(edits or ())} | {name: [*(edits or ()), *change] for name, change in load_variants(variants).items()}
    base_recipe = load(recipe, asked[BASE])
    for name, change in asked.items():  # all that is wrong is said before anything trains
        if name != BASE and not changes(base_recipe, load(recipe, change)):
            raise BadInputError(f"the variant {name!r} changes nothing in this recipe")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in asked}
    with only_json(json):
        for seed in range(first, first + seeds):
            for name, change in asked.items():
                called = f"{Path(recipe).stem}_{name.replace(' ', '_')}_s{seed}"
                found[name].append(one_run(recipe, [*change, f"seed={seed}"], runs, called, allow_code))
    base = scores(found[BASE])
    if json:
        gains = {name: paired(base, scores(rows)).plain() for name, rows in found.items() if name != BASE}
        show_json({"runs": found, "mean": mean_of(base).plain(), "differences": gains})
        return
    pad = max(map(len, found))
    say(f"{BASE:<{pad}}  {mean_of(base).mean:.2%} on validation, mean of {seeds} seed{'s' if seeds > 1 else ''}")
    for name, rows in found.items():
        if name != BASE:
            say(f"{name:<{pad}}  {gain_words(paired(base, scores(rows)))}")
