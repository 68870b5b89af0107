"""`cockpit repeat`: one recipe over several seeds, alone or against a changed one, compared seed by seed."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cockpit.cli.base import BadInputError, CodeOpt, JsonOpt, RecipeArg, RunsOpt, SetOpt, app, fail, only_json, say, show_json
from cockpit.runs.paired import Mean, mean_of, paired

AgainstOpt = Annotated[
    list[str] | None, typer.Option("--against", metavar="KEY=VALUE", help="Train each seed with this change too, and compare.")
]


@app.command()
def repeat(
    recipe: RecipeArg,
    edits: SetOpt = None,
    against: AgainstOpt = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How many seeds, from the recipe's own upwards.")] = 5,
    runs: RunsOpt = None,
    allow_code: CodeOpt = False,
    json: JsonOpt = False,
) -> None:
    """Train a recipe from several seeds: best validation score, spread, and the paired difference a change makes."""
    from cockpit.recipe import load

    first = load(recipe, edits or ()).seed
    variants = {"recipe": list(edits or ()), **({"changed": [*(edits or ()), *against]} if against else {})}
    for change in variants.values():  # all that is wrong is said before anything trains
        if load(recipe, change).model.runs_code and not allow_code:
            raise BadInputError("model.path: this recipe runs Python code of its own; say --allow-code if you trust it")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
    with only_json(json):
        for seed in range(first, first + seeds):
            for name, change in variants.items():
                results[name].append(
                    one_run(recipe, [*change, f"seed={seed}"], runs, f"{Path(recipe).stem}_{name}_s{seed}", allow_code)
                )
    if json:
        means = {name: mean_of(scores(rows)).plain() for name, rows in results.items()}
        show_json({"runs": results, **means, **_difference(results)})
        return
    for name, rows in results.items():
        say(f"{name:<9} {_words(mean_of(scores(rows)))}   {' '.join(f'{score:.2%}' for score in scores(rows))}")
    if against:
        say(f"{' '.join(against)}: {gain_words(paired(scores(results['recipe']), scores(results['changed'])))}")
    say(f"all together: cockpit ensemble {' '.join(row['id'] for rows in results.values() for row in rows)}")


def one_run(recipe: str, edits: list[str], runs: Path | None, name: str, allow_code: bool) -> dict[str, Any]:
    """Train one run in the foreground; where it does not finish, say so and leave."""
    from cockpit.cli.flying import prepare
    from cockpit.host.host import Host
    from cockpit.runs.summary import summarise

    run = prepare(recipe, edits, runs, name, allow_code)
    print(f"{name} · run {run.id}", file=sys.stderr, flush=True)
    host = Host(run, say=lambda text: None)
    host.catch_signals()
    end = host.run()
    summary = summarise(run)
    if end.state != "finished" or not summary["best"]:
        fail(f"run {run.id} ({name}) ended as {end.state}: {end.reason or 'on request'}", code=1)
    return {"id": run.id, "name": name, "score": summary["best"]["val_accuracy"], "seconds": summary["seconds"]}


def scores(rows: list[dict[str, Any]]) -> list[float]:
    """The best validation accuracy of each run."""
    return [row["score"] for row in rows]


def _words(mean: Mean) -> str:
    spread = f" ± {mean.half:.2%} (95 %), std {mean.std:.2%}" if mean.count > 1 else ""
    return f"{mean.mean:.2%}{spread}"


def gain_words(gain: Mean) -> str:
    """A paired difference in words."""
    if gain.count == 1:
        return f"{gain.mean:+.2%}, and one pair of seeds does not say how much of it is luck"
    if gain.half == 0:
        return f"{gain.mean:+.2%} in each of {gain.count} pairs of seeds: too alike for an interval"
    verdict = "" if gain.tells else ", which these seeds cannot tell from nothing"
    return f"{gain.mean:+.2%} ± {gain.half:.2%} (95 %, {gain.count} paired seeds){verdict}"


def _difference(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    if "changed" not in results:
        return {}
    return {"difference": paired(scores(results["recipe"]), scores(results["changed"])).plain()}
