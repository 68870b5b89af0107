"""`cockpit fork`: a new run from another one, from its first step or from one of its checkpoints."""

import re
import sys
from typing import Annotated

import typer

from cockpit.cli.base import BadInputError, JsonOpt, NameOpt, RunsOpt, SetOpt, app, say, show_json
from cockpit.runs.directory import RunDir, epoch_name, find, runs_root
from cockpit.runs.owner import own

AtOpt = Annotated[
    str, typer.Option("--at", metavar="WHERE", help="Where it begins: start, last, best, healthy, or an epoch kept: 'epoch 3'.")
]


@app.command()
def fork(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, id, or unique prefix.")],
    edits: SetOpt = None,
    at: AtOpt = "start",
    name: NameOpt = None,
    runs: RunsOpt = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Train here, as `train` does.")] = False,
    json: JsonOpt = False,
) -> None:
    """Start a new run from another one, with changes: from the first step, or from a checkpoint with the history until then."""
    from cockpit.runs.launch import spawn

    parent = find(runs_root(runs), run)
    child, step = forked(parent, at, edits or [], name or "")
    if foreground:
        from cockpit.cli.flying import fly

        fly(child, resume=at != "start", json=json)
    pid = spawn(child, resume=at != "start")
    if json:
        origin = {"run": parent.id, "step": step}
        show_json({"id": child.id, "name": child.name, "dir": str(child.path), "pid": pid, "parent": origin})
        return
    say(f"run {child.id} ({child.name}) from step {step:,} of run {parent.id} started as process {pid}")
    say(f"  cockpit attach {child.id}")


def forked(parent: RunDir, at: str, edits: list[str], name: str) -> tuple[RunDir, int]:
    """The new run, ready for a host, and the step at which it begins. Raises BadInputError, RecipeError, RunError."""
    from cockpit.launch import fork_anew, fork_from, recipe_left
    from cockpit.recipe import dump, loads
    from cockpit.runs.archive import ArchiveError, plain

    if at == "start":
        recipe = loads(dump(recipe_left(parent, waiting=True)), "recipe.yaml", edits)
        return fork_anew(parent, recipe, command=sys.argv, name=name), 0
    own(parent, "fork a checkpoint of")
    which = _checkpoint(at)
    try:
        plain(parent.checkpoint(which))
    except ArchiveError as error:
        raise BadInputError(f"checkpoint {which}.pt {error}") from error
    except OSError:
        pass  # there is none, which is told with those that there are
    child, step, gaps = fork_from(parent, which, edits, command=sys.argv, name=name)
    if gaps:
        say(gaps, sys.stderr)
    return child, step


def _checkpoint(at: str) -> str:
    """The name of the checkpoint that --at means."""
    if at in ("last", "best", "healthy"):
        return at
    epoch = re.fullmatch(r"(?:epoch[ _=]?)?0*(\d{1,6})", at)
    if not epoch:
        raise BadInputError(f"--at takes start, last, best, healthy or an epoch such as 'epoch 3', not {at[:40]!r}")
    return epoch_name(int(epoch[1]))
