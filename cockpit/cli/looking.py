"""Commands that look at recipes and runs."""

import shutil
import time
from typing import Annotated, Any

import typer

from cockpit.cli.base import BadInputError, CodeOpt, JsonOpt, RecipeArg, RunArg, RunsOpt, SetOpt, app, only_json, say, show_json
from cockpit.runs.directory import RunDir, find, list_runs, runs_root
from cockpit.runs.owner import own

MORE = ("weights", "overfit_one_batch", "random_features", "lr_range", "noise_scale", "sharpness")
"""The checks that take longer, by name; the engine has them."""
GIVEN_BACK = "device given back"
"""Said of a run that is paused without its device."""


@app.command()
def runs(runs: RunsOpt = None, json: JsonOpt = False) -> None:
    """List the runs, newest first, with their true states."""
    from cockpit.runs.queue import sentence
    from cockpit.runs.summary import summarise

    summaries = [summarise(run) for run in list_runs(runs_root(runs))]
    if json:
        show_json(summaries)
        return
    if not summaries:
        say(f"no runs under {runs_root(runs)} yet; `cockpit train first_flight` makes one")
    for one in summaries:
        best = f"best val {one['best']['val_accuracy']:.2%}" if one["best"] and one["best"]["val_accuracy"] is not None else ""
        epochs = f"epoch {one['epoch'] or 0:.1f}" + (f"/{one['epochs']}" if one["epochs"] else "") if one["device"] else ""
        reason = one["reason"] if one["state"] == "failed" else sentence(one["state"], one["queue"])
        reason = GIVEN_BACK if one["released"] else reason
        say(f"{one['id']}  {one['state']:<11} {one['name']:<24} {epochs:<16} {best}  {reason}".rstrip())


@app.command()
def show(
    run: RunArg = None,
    runs: RunsOpt = None,
    plot: Annotated[bool, typer.Option("--plot", help="Print the loss and accuracy curves too.")] = False,
    json: JsonOpt = False,
) -> None:
    """Summarise one run."""
    from cockpit.runs.summary import summarise

    found = find(runs_root(runs), run)
    summary = summarise(found)
    if json:
        show_json(summary)
        return
    for line in (*summary_lines(summary), *(plot_lines(found) if plot else ())):
        say(line)


def plot_lines(run: RunDir) -> list[str]:
    """The curves of a run as lines of text, as wide as the terminal."""
    from cockpit.runs.history import read_history
    from cockpit.ui.model.curves import curves
    from cockpit.ui.plot.text import curve_text

    drawn = curves(read_history(run))
    width = min(120, shutil.get_terminal_size().columns)
    lines = []
    for title, series in (("loss", drawn.loss), ("accuracy", drawn.accuracy)):
        lines += ["", title, *curve_text(series, width, 14, x_max=drawn.x_max, x_scale=drawn.epoch_steps).splitlines()]
    return lines


def summary_lines(one: dict[str, Any]) -> list[str]:
    """A run's summary as lines of text."""
    from cockpit.runs.queue import sentence

    reason = f": {one['reason']}" if one["reason"] else f" ({GIVEN_BACK})" if one["released"] else ""
    lines = [f"{one['name']} · {one['id']} · {one['state']}{reason}", f"  {one['dir']}"]
    if queued := sentence(one["state"], one["queue"]):
        lines += [f"  {queued}"]
    if one["device"]:
        length = f" of {one['epochs']}" if one["epochs"] else ""  # a loop of the user's own need not say
        where = f"  epoch {one['epoch'] or 0:.1f}{length} · step {one['step']:,} · {one['seconds']:.1f} s of training"
        cost = "" if one.get("probes") is None else f" · probes {one['probes']:.1%}"
        lines += [f"{where} · {one['device']} · {one['params']:,} parameters{cost}"]
    lines += [f"  images {one['images']}"] if one.get("images") else []
    lines += [*_scores(one), *(f"  note  {text}" for text in one["notes"])]
    for rise in one["flags"]:
        gone = "silenced" if rise["silenced"] else "cleared"
        cleared = f" ({gone} at step {rise['cleared_step']})" if rise["cleared_step"] is not None else ""
        lines += [f"  {rise['severity']} {rise['id']} at step {rise['step']}: {rise['headline']}{cleared}"]
        lines += [f"    {number} {_remedy(remedy)}" for number, remedy in enumerate(rise["remedies"], start=1)]
    seen = one["test"]
    score = ", sealed" if not seen["looks"] else "" if seen["accuracy"] is None else f", accuracy {seen['accuracy']:.2%}"
    return [*lines, f"  test set: {seen['looks']} looks{score}"]


def _scores(one: dict[str, Any]) -> list[str]:
    """The best evaluation and the last one."""
    lines, best, last = [], one["best"], one["last"]
    if best:
        plain = best["plain_accuracy"]
        whose = f" with {best['weights']}" if best["weights"] != "raw" else ""
        whose += f", {_share(plain)} without" if plain is not None else ""
        score, ranking = best["score"], best["scores"].get(best["score"])
        ranked = f" · {score} {'unknown' if ranking is None else f'{ranking:.4f}'}" if score != "accuracy" else ""
        lines.append(f"  best  epoch {best['epoch']} · val accuracy {_share(best['val_accuracy'])}{whose}{ranked}")
    if last:
        lines.append(f"  last  train accuracy {_share(last['train_accuracy'])} · val {_share(last['val_accuracy'])}")
    return lines


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2%}"


def _remedy(remedy: dict[str, Any]) -> str:
    """One way out: what it is called, and what it sets, or that it was applied."""
    if remedy["applied_step"] is not None:
        return f"{remedy['label']} (applied at step {remedy['applied_step']})"
    edits = ", ".join(f"{path}={value}" for path, value in remedy["edits"])
    return f"{remedy['label']} ({edits})" if edits else str(remedy["label"])


@app.command()
def check(
    recipe: RecipeArg,
    edits: SetOpt = None,
    more: Annotated[str, typer.Option("--with", metavar="CHECKS", help=f"Longer checks: all, or {', '.join(MORE)}.")] = "",
    allow_code: CodeOpt = False,
    json: JsonOpt = False,
) -> None:
    """Validate a recipe, build everything, look at the network before its first step; 1 if it is not ready to train."""
    from cockpit.recipe import load

    wanted = MORE if more == "all" else tuple(more.replace(",", " ").split())
    for name in wanted:
        if name not in MORE:
            raise BadInputError(f"--with: unknown check {name!r}; known: all, {', '.join(MORE)}")
    decoded = load(recipe, edits or ())
    from cockpit.engine.preflight import CheckError, preflight

    try:
        with only_json(json):
            report = preflight(decoded, allow_code=allow_code, wanted=wanted)
    except CheckError as error:
        raise BadInputError(str(error)) from error
    if json:
        show_json(report.plain())
    else:
        for line in (*report.lines()[:-1], verdict(report.plain())):
            say(line)
    raise typer.Exit(0 if report.plain()["ok"] else 1)


def verdict(report: dict[str, Any]) -> str:
    """Whether a recipe can be trained, with how many doubts."""
    found = [flag["severity"] for flag in report["flags"]]
    doubts = [f"{count} {word}{'s'[: count > 1]}" for word in ("critical", "warning") if (count := found.count(word))]
    said = ("can train" if doubts else "ready to train") if report["ok"] else "not ready"
    return "; ".join([said, *doubts]) + ("" if report["ok"] else ": see above")


@app.command()
def test(run: RunArg = None, runs: RunsOpt = None, json: JsonOpt = False) -> None:
    """Open the vault: score the sealed test set with the best weights, and record the look in the run's ledger."""
    found = own(find(runs_root(runs), run), "test")
    from cockpit.engine.testing import TestingError, look

    began = time.perf_counter()
    try:
        with only_json(json):
            seen = look(found)
    except TestingError as error:
        raise BadInputError(str(error)) from error
    if json:
        show_json(seen)
        return
    say(f"test accuracy {seen['accuracy']:.2%} · loss {seen['loss']:.4f} on {seen['count']:,} images")
    say(f"weights of epoch {seen['epoch']}, the best on validation · {time.perf_counter() - began:.1f} s")
    say(f"this was look {seen['looks']} at the sealed test set; every look is in the run's ledger")
