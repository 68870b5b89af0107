"""Recipes that were changed at random: each is read, or refused with its faults, within a second."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from commands import cockpit as typed

from cockpit.recipe import RecipeError, dump, loads
from faulting.hosts import warm
from faulting.mutants import mutate
from faulting.report import Outcome

PRESETS = Path(__file__).parents[2] / "presets"
SLOW = 1.0
"""Seconds of the processor that reading may take."""
CHECKED = 50
"""Every so many'th recipe goes through `cockpit check` as well."""
PATIENCE = 120
HERE = ("--set", "data=digits", "--set", "train.device=cpu")
"""What makes a check need no network."""


def recipes(count: int, chance: random.Random, root: Path, checked: int = CHECKED) -> Outcome:
    """So many mutants of the presets, with mutated edits beside a fifth of them."""
    warm()
    out = Outcome("mutated recipes")
    seeds = [path.read_bytes() for path in sorted(PRESETS.rglob("*.yaml"))]
    slowest = 0.0
    for number in range(count):
        text = mutate(chance.choice(seeds), seeds, chance)
        edits = _edits(chance) if chance.random() < 0.2 else []
        out.tried += 1
        began = time.process_time()
        fault = _read(text, edits, out)
        took = time.process_time() - began
        slowest = max(slowest, took)
        if took > SLOW:
            fault = fault or f"took {took:.1f} s"
        if fault:
            out.fail(f"{fault}; kept in {_keep(root, number, text, edits)}")
        if number % checked == 0:
            _check(text, root / "mutant.yaml", out)
    out.counts["slowest, in seconds of the processor"] = round(slowest, 3)
    return out


def _read(text: bytes, edits: Sequence[str], out: Outcome) -> str:
    """What is wrong with the way in which a mutant is read."""
    try:
        recipe = loads(text, "mutant.yaml", edits)
    except RecipeError as error:
        out.count("refused")
        return "" if error.faults and all(str(fault) for fault in error.faults) else "refused without a word"
    except BaseException as error:
        return f"raised {type(error).__name__}: {str(error)[:200]}"
    out.count("read")
    try:
        written = dump(recipe)
        return "" if dump(loads(written)) == written else "is not the same once it was written and read"
    except Exception as error:
        return f"was read, and not once it was written: {type(error).__name__}: {str(error)[:200]}"


def _edits(chance: random.Random) -> list[str]:
    known = [
        b"optimizer.lr=0.1",
        b"tricks.mixup=on",
        b"model={name: mlp, widths: [8]}",
        b"data.val=0.2",
        b"flags.dead_relu=off",
    ]
    return [
        mutate(chance.choice(known), known, chance).decode("utf-8", "surrogateescape") for _ in range(chance.randrange(1, 4))
    ]


def _check(text: bytes, path: Path, out: Outcome) -> None:
    """`cockpit check` in a copy of this warm process."""
    path.write_bytes(text)
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE)
        said = "raised"
        try:
            done = typed("check", str(path), *HERE)
            wrong = "Traceback" in done.err + done.out or done.code not in (0, 1, 2) or (done.code == 2 and not done.err)
            said = f"left with {done.code}: {done.err[-300:]!r}" if wrong else str(done.code)
        except BaseException as error:
            said = f"raised {type(error).__name__}: {str(error)[:200]}"
        finally:
            with contextlib.suppress(OSError):
                os.write(its, said.encode("utf-8", "replace"))
            os._exit(0)
    os.close(its)
    with open(ours, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    out.count("checked by the command")
    if said in ("0", "1", "2"):
        out.count(f"check left with {said}")
    else:
        out.fail(f"check {said or f'died of {status}'}; kept in {_keep(path.parent, out.tried, text, HERE)}")


def _keep(root: Path, number: int, text: bytes, edits: Sequence[str]) -> Path:
    kept = root / "failed"
    kept.mkdir(exist_ok=True)
    (kept / f"{number}.yaml").write_bytes(text)
    (kept / f"{number}.edits").write_text(repr(list(edits)))
    return kept / f"{number}.yaml"
