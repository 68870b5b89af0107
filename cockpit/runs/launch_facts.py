"""What was said when a run was started: `launch.json`."""

import json
import os
from collections.abc import Iterable
from typing import Any

from cockpit.runs import private
from cockpit.runs.directory import RunDir
from cockpit.runs.owner import stranger
from cockpit.runs.remedies import Tried


def launch_facts(run: RunDir) -> dict[str, Any]:
    """All of it; nothing where it cannot be read."""
    try:
        facts = json.loads(run.launch.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def allows_code(run: RunDir) -> bool:
    """Whether the user agreed that the recipe may run code of its own. What another user agreed to is no consent."""
    return bool(launch_facts(run).get("allow_code")) and not stranger(run)


def auto_remedy(run: RunDir) -> bool:
    """Whether remedies are applied unasked."""
    return bool(launch_facts(run).get("auto_remedy"))


def parent(run: RunDir) -> tuple[str, int] | None:
    """The run that this one was forked from, and the step; None where it was not."""
    said = launch_facts(run).get("parent")
    try:
        return (str(said["run"]), int(said["step"])) if said else None
    except (KeyError, TypeError, ValueError):
        return None


def tried(run: RunDir) -> tuple[Tried, ...]:
    """What was applied unasked in the runs that this one goes on from."""
    try:
        return tuple((str(flag), tuple(map(str, paths))) for flag, paths in launch_facts(run).get("tried", ()))
    except (TypeError, ValueError):
        return ()


def plain(tried: Iterable[Tried]) -> list[list[Any]]:
    """The same as the file holds it."""
    return [[flag, list(paths)] for flag, paths in tried]


def say_auto_remedy(run: RunDir) -> None:
    """Record that remedies are to be applied unasked from now on. OSError where it cannot be written."""
    say_facts(run, auto_remedy=True)


def say_facts(run: RunDir, **facts: Any) -> None:
    """Record what was said later. OSError where it cannot be written."""
    part = run.launch.with_suffix(".part")
    private.write_text(part, json.dumps({**launch_facts(run), **facts}, indent=1))
    os.replace(part, run.launch)


def processes(run: RunDir) -> int:
    """How many processes of this machine train it together, one to a GPU."""
    said = launch_facts(run).get("gpus", 1)
    return said if isinstance(said, int) and said > 0 else 1
