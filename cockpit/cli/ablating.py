"""`cockpit ablate`: one recipe and its variants over several seeds, each compared with the recipe seed by seed."""

from typing import Annotated

import typer

from cockpit.cli.base import BadInputError, CodeOpt, JsonOpt, RecipeArg, RunsOpt, SetOpt, app, only_json, say, show_json
from cockpit.cli.repeating import gain_words, scores, shown, train_all
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

    asked = {BASE: list(edits or ())} | {name: [*(edits or ()), *change] for name, change in load_variants(variants).items()}
    whole = load(recipe, asked[BASE])
    for name, change in asked.items():
        if name != BASE and not changes(whole, load(recipe, change)):
            raise BadInputError(f"the variant {name!r} changes nothing in this recipe")
    with only_json(json):
        found = train_all(recipe, asked, seeds, runs, allow_code)
    base = scores(found[BASE])
    gains = {name: paired(base, scores(rows)) for name, rows in found.items() if name != BASE}
    if json:
        plain = {name: gain.plain() for name, gain in gains.items()}
        show_json({"runs": found, "mean": mean_of(base).plain(), "differences": plain})
        return
    pad, measure = max(map(len, found)), found[BASE][0]["measure"]
    level = shown(mean_of(base).mean, measure)
    say(f"{BASE:<{pad}}  {measure} {level} on validation, mean of {seeds} seed{'s' if seeds > 1 else ''}")
    for name, gain in gains.items():
        say(f"{name:<{pad}}  {gain_words(gain, measure)}")
