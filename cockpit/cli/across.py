"""Commands over several finished runs: ensembles and soups. Both look at validation only; the test set stays sealed."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cockpit.cli.base import BadInputError, JsonOpt, NameOpt, RunsOpt, app, guarded, only_json, say, show_json
from cockpit.runs.directory import RunDir, find, runs_root

if TYPE_CHECKING:
    from cockpit.engine.across.soup import Soup
    from cockpit.engine.reopen import Reopened

RunsArg = Annotated[
    list[str], typer.Argument(metavar="RUN RUN...", help="Finished runs, or RUN@12 for weights kept at epoch 12.")
]
COMBINES = ("probabilities", "logits", "vote")


@app.command()
def ensemble(
    members: RunsArg,
    runs: RunsOpt = None,
    combine: Annotated[str, typer.Option(help="What is averaged: probabilities, logits or vote.")] = "probabilities",
    fit: Annotated[bool, typer.Option("--fit", help="Fit the members' weights on validation instead of equal ones.")] = False,
    json: JsonOpt = False,
) -> None:
    """Combine the outputs of several runs: members, their mean and the ensemble side by side, on validation."""
    if combine not in COMBINES:
        raise BadInputError(f"--combine: {combine!r} is none of {', '.join(COMBINES)}")
    if fit and combine != "probabilities":
        raise BadInputError(f"--fit: the weights are those of a mean of probabilities, and --combine asks for {combine}")
    chosen: Any = combine
    found = _find(members, runs)
    from cockpit.engine.across import ensemble as across

    with only_json(json):
        report = guarded(lambda: across.ensemble([across.voice(one) for one in _opened(found)], chosen, fit=fit))
    if json:
        show_json({**dataclasses.asdict(report), "combine": combine})
        return
    rows = [*report.members, report.mean, report.ensemble]
    pad = max(len(row.name) for row in rows)
    say(f"{'':<{pad}}  accuracy  log loss     ECE  parameters   on {report.images:,} validation images")
    for row in rows:
        say(f"{row.name:<{pad}}  {row.accuracy:8.2%}  {row.log_loss:8.4f}  {row.ece:6.3f}  {row.params:>10,}")
    if fit:
        say(
            "weights  " + "  ".join(f"{weight:.3f}" for weight in report.weights) + "   fitted on the images they are scored on"
        )
    say(f"two members differ on {report.disagreement:.2%} of the images; the ensemble costs as much as all members together")


@app.command()
def soup(
    members: RunsArg,
    runs: RunsOpt = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Add a run only where validation does not suffer.")] = False,
    any_root: Annotated[bool, typer.Option("--any-root", help="Average runs that share no start, to see it fail.")] = False,
    name: NameOpt = None,
    json: JsonOpt = False,
) -> None:
    """Average the weights of runs that were fine-tuned from one root; the soup becomes a run of its own."""
    found = _find(members, runs)
    from cockpit.engine.across import kept
    from cockpit.engine.across import soup as across

    def cook() -> "tuple[Soup, list[tuple[float, float]], RunDir]":
        opened = _opened(found)
        made = (across.greedy if greedy else across.uniform)(opened, any_root=any_root)
        run = kept.keep(made, opened, runs_root(runs), name or "soup", sys.argv)
        return made, across.line(opened), run

    with only_json(json):
        made, line, run = guarded(cook)
    if json:
        tastes = {key: [*map(dataclasses.asdict, getattr(made, key))] for key in ("members", "tries")}
        show_json({**tastes, "taste": dataclasses.asdict(made.taste), "line": line, "id": run.id, "dir": str(run.path)})
        return
    for one in made.members:
        say(f"{one.members[0]}  {one.accuracy:.2%}  loss {one.loss:.4f}   alone, batch norm statistics taken anew")
    for one in made.tries:
        say(f"{'+'.join(one.members)}  {one.accuracy:.2%}  loss {one.loss:.4f}   tried")
    say("between the first two, from one to the other: " + "  ".join(f"{accuracy:.2%}" for _, accuracy in line))
    say(f"soup of {len(made.taste.members)}: {made.taste.accuracy:.2%} on validation, kept as run {run.id}")


def _find(names: Sequence[str], runs: Path | None) -> list[tuple[RunDir, str]]:
    """Runs with the checkpoints that are meant: the best, or for `RUN@12` the one kept at the end of epoch 12."""
    found = [_one(name, runs) for name in names]
    if len(set(found)) < 2:
        raise BadInputError("say at least two different runs; `cockpit runs` lists them")
    twice = next((run for run, which in found if found.count((run, which)) > 1), None)
    if twice:
        raise BadInputError(f"run {twice.id} ({twice.name}) is named twice; each counts once")
    return found


def _one(name: str, runs: Path | None) -> tuple[RunDir, str]:
    from cockpit.runs.directory import epoch_name

    run, at, epoch = name.rpartition("@")
    if not at or not epoch.isdigit():
        return find(runs_root(runs), name), "best"
    held = find(runs_root(runs), run)
    which = epoch_name(int(epoch))
    if not held.checkpoint(which).exists():
        kept = sorted(int(path.stem.rpartition("_")[2]) for path in held.checkpoint("best").parent.glob("epoch_*.pt"))
        have = f"it has those of {', '.join(map(str, kept))}" if kept else "train.keep: 10 keeps the last ten"
        raise BadInputError(f"run {held.id} ({held.name}) has kept no weights of epoch {epoch}; {have}")
    return held, which


def _opened(found: Sequence[tuple[RunDir, str]]) -> "list[Reopened]":
    from cockpit.engine.reopen import ReopenError, reopen

    opened = []
    for run, which in found:
        try:
            opened.append(reopen(run, which))
        except ReopenError as error:
            raise ReopenError(f"run {run.id} ({run.name}): {error}") from error
    return opened
