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
    variants = {"recipe": list(edits or ()), **({"changed": [*(edits or ()), *against]} if against else {})}
    with only_json(json):
        results = train_all(recipe, variants, seeds, runs, allow_code)
    means = {name: mean_of(scores(rows)) for name, rows in results.items()}
    gain = paired(scores(results["recipe"]), scores(results["changed"])) if against else None
    if json:
        plain = {name: mean.plain() for name, mean in means.items()}
        show_json({"runs": results, **plain, **({"difference": gain.plain()} if gain else {})})
        return
    measure = results["recipe"][0]["measure"]
    for name, rows in results.items():
        each = " ".join(shown(score, measure) for score in scores(rows))
        say(f"{name:<9} {measure} {_words(means[name], measure)}   {each}")
    if against and gain:
        say(f"{' '.join(against)}: {gain_words(gain, measure)}")
    for name, rows in results.items():
        if len(rows) > 1:
            say(f"{name:<9} all together: cockpit ensemble {' '.join(row['id'] for row in rows)}")


def train_all(
    recipe: str, variants: dict[str, list[str]], seeds: int, runs: Path | None, allow_code: bool
) -> dict[str, list[dict[str, Any]]]:
    """Train every variant (name -> edits) from every seed; all that is wrong with one is said before anything trains."""
    from cockpit.recipe import load

    decoded = {name: load(recipe, edits) for name, edits in variants.items()}
    if any(one.model.runs_code for one in decoded.values()) and not allow_code:
        raise BadInputError("model.path: this recipe runs Python code of its own; say --allow-code if you trust it")
    first = next(iter(decoded.values())).seed
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
    for seed in range(first, first + seeds):
        for name, edits in variants.items():
            called = f"{Path(recipe).stem}_{name.replace(' ', '_')}_s{seed}"
            results[name].append(_one_run(recipe, [*edits, f"seed={seed}"], runs, called, allow_code))
    return results


def _one_run(recipe: str, edits: list[str], runs: Path | None, name: str, allow_code: bool) -> dict[str, Any]:
    """Train one run in the foreground; where it does not finish, say so and leave."""
    from cockpit.cli.flying import prepare
    from cockpit.host.host import Host
    from cockpit.runs.summary import summarise

    run = prepare(recipe, edits, runs, name, allow_code)
    say(f"{name} · run {run.id}", sys.stderr)
    host = Host(run, say=lambda text: None)
    host.catch_signals()
    end = host.run()
    summary = summarise(run)
    if end.state != "finished" or not summary["best"]:
        fail(f"run {run.id} ({name}) ended as {end.state}: {end.reason or 'on request'}", code=1)
    best = summary["best"]
    measure = best["score"]
    return {
        "id": run.id,
        "name": name,
        "measure": measure,
        "score": best["val_accuracy"] if measure == "accuracy" else best["scores"][measure],
        "seconds": summary["seconds"],
    }


def scores(rows: list[dict[str, Any]]) -> list[float]:
    """The best validation score of each run, by the measure that ranks them."""
    return [row["score"] for row in rows]


def shown(value: float, measure: str, sign: str = "") -> str:
    """Accuracies are percentages; the other measures are plain numbers."""
    return f"{value:{sign}.2%}" if measure == "accuracy" else f"{value:{sign}.4f}"


def _words(mean: Mean, measure: str) -> str:
    spread = f" ± {shown(mean.half, measure)} (95 %), std {shown(mean.std, measure)}" if mean.count > 1 else ""
    return f"{shown(mean.mean, measure)}{spread}"


def gain_words(gain: Mean, measure: str) -> str:
    """A paired difference in words."""
    words = shown(gain.mean, measure, "+")
    if gain.count == 1:
        return f"{words}, and one pair of seeds does not say how much of it is luck"
    if gain.half == 0:
        return f"{words} in each of {gain.count} pairs of seeds: too alike for an interval"
    verdict = "" if gain.tells else ", which these seeds cannot tell from nothing"
    return f"{words} ± {shown(gain.half, measure)} (95 %, {gain.count} paired seeds){verdict}"
