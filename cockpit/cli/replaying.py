"""`cockpit replay`: the flags again, over a recorded run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cockpit.cli.base import BadInputError, JsonOpt, RunArg, RunsOpt, app, say, show_json
from cockpit.runs.directory import RunDir, find, runs_root

if TYPE_CHECKING:
    from cockpit.diagnosis import Flag
    from cockpit.runs.history import History

FlagsOpt = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Judge otherwise: --set flags.dead_relu.share=0.3")
]
WHEN = {"same": "same", "then": "only then", "now": "only now"}


@app.command()
def replay(run: RunArg = None, edits: FlagsOpt = None, runs: RunsOpt = None, json: JsonOpt = False) -> None:
    """Judge a recorded run again, with other thresholds if asked, and show what is found beside what was found then."""
    from cockpit.runs.history import read_history
    from cockpit.runs.sound import sound

    found = find(runs_root(runs), run)
    _only_flags(edits or ())
    history, record = read_history(found), sound(found)
    history.steps, history.layers = record.history.steps, record.history.layers
    if record.gaps:
        say(record.gaps, sys.stderr)
    flags, own = flags_of(found, history, edits or ())
    rises = compared(history, flags)
    counts = {when: sum(rise["when"] == when for rise in rises) for when in WHEN}
    if json:
        told = {"id": found.id, "name": found.name, "dir": str(found.path), "step": history.step, "flags": len(flags)}
        show_json({**told, "own_recipe": own, **counts, "findings": rises})
        return
    state = "" if history.ended else " so far"
    say(f"{found.name} · {found.id} · {history.step:,} steps{state} · {len(flags)} flags")
    if not own:
        say("  no recipe that can be read, as in a loop of the user's own: flags are as they are by default, or as said there")
    changed = sorted({edit.path for edit in history.edits if edit.live and edit.path.startswith("flags.")})
    if changed:
        say(f"  changed while it ran, and left out here: {', '.join(changed)}")
    for rise in rises:
        say(_line(rise))
    say(
        "  " + (", ".join(f"{counts[when]} {words}" for when, words in WHEN.items()) if rises else "nothing found, then or now")
    )


def flags_of(run: RunDir, history: History, edits: Sequence[str] = ()) -> tuple[tuple[Flag, ...], bool]:
    """The flags of a run's recipe with edits made, and whether the recipe could be read; else its flags section alone, or
    the defaults. Raises RecipeError where an edit is at fault.
    """
    from cockpit.recipe import RecipeError, load, loads

    try:
        return tuple(load(str(run.recipe), edits).flags.values()), True
    except RecipeError:
        # A loop of the user's own has no recipe, and one of another version may not be read whole.
        for text in (_plain(history.recipe.get("flags")), _plain(None)):
            try:
                return tuple(loads(text, str(run.recipe), edits).flags.values()), False
            except RecipeError as error:
                if any(fault.place.of_edit for fault in error.faults):
                    raise
        raise


def _plain(flags: Any) -> str:
    """A recipe that says no more than its flags; a recipe must say what it trains on, and with."""
    import yaml

    return yaml.safe_dump({"data": "digits", "model": "mlp", **({"flags": flags} if isinstance(flags, dict) else {})})


def compared(history: History, flags: Sequence[Flag]) -> list[dict[str, Any]]:
    """Every rise of then and of now, by step: as in `show --json`, with `when` (same, then, now), and with `cleared_then`
    where it cleared then.
    """
    from cockpit import judge
    from cockpit.runs.history import History
    from cockpit.runs.summary import flag_list

    now = flag_list(History(findings=judge.replay(history, flags)))
    then = {_key(rise): rise for rise in flag_list(history)}
    rises = []
    for rise in now:
        old = then.pop(_key(rise), None)
        rises.append({**rise, "when": "same" if old else "now", "cleared_then": old["cleared_step"] if old else None})
    rises += [{**rise, "when": "then", "cleared_then": rise["cleared_step"], "cleared_step": None} for rise in then.values()]
    return sorted(rises, key=lambda rise: int(rise["step"]))


def _key(rise: dict[str, Any]) -> tuple[str, str, int]:
    return rise["id"], rise["severity"], rise["step"]


def _only_flags(edits: Sequence[str]) -> None:
    from cockpit.catalog import flags

    for edit in edits:
        path = edit.partition("=")[0].strip()
        first, *_ = path.split(".")
        if first == "flags" or "=" not in edit:
            continue  # the recipe's own grammar says what is wrong with it
        nearest = f"flags.{path}" if first in flags() else "flags.dead_relu.share"
        hint = f"did you mean {nearest[:80]}?" if first in flags() else f"such as --set {nearest}=0.3"
        raise BadInputError(
            f"--set {path[:80]}: a recorded run is judged anew, not trained anew, so only flags may change; {hint}"
        )


def _line(rise: dict[str, Any]) -> str:
    where = f"step {rise['step']:,}, epoch {rise['epoch'] or 0:.1f}"
    return f"  {WHEN[rise['when']]:<10} {rise['severity']:<9} {rise['id']} at {where}: {rise['headline']}{_cleared(rise)}"


def _cleared(rise: dict[str, Any]) -> str:
    now, then = rise["cleared_step"], rise["cleared_then"]
    if rise["when"] == "then":
        return f" (cleared at step {then:,})" if then else ""
    said = f"cleared at step {now:,}" if now else "stands" if then else ""
    if rise["when"] == "same" and now != then:
        said += f"; then it {f'cleared at step {then:,}' if then else 'stood'}"
    return f" ({said})" if said else ""
