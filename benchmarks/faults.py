"""What a run survives: a campaign of kills, hang-ups, damage, full disks, nonsense, and a long life.

    python benchmarks/faults.py kills|processes|... [--count N] [--seed S] [--dir FOLDER]
    python benchmarks/faults.py all

kills       hosts killed with -9 at random instants, spread over their life, and resumed until the run is finished; weights and
            all other state, rows, evaluations, findings and live edits must be those of an undisturbed run, bit for bit
processes   the same with processes of `python -m cockpit.host`
damage      every file of a run directory cut short or with bits turned over: no reader raises or loses more than what was hit,
            and a resume goes on as if nothing had been, or says in a sentence why not
recipes     changed recipes are read or refused with their faults, within a second each; some of them through `cockpit check`
mail        changed mailbox commands, and what is no command, to hosts that train: each is answered or refused, and what is
            refused changes nothing of the result
disk        small file systems that fill up, turn read-only, or lose the run (needs mounting): it trains on, the record has no
            hole once there is room, and a start says what is wrong in a sentence
hangups     terminals closed, screens killed, tmux servers killed: the host goes on, and another screen shows it
soak        one host with a screen attached over a million cheap steps (--count): memory of both, bytes of the directory

Each part prints its counts and puts them into benchmarks/results/faults.json and faults.md. It ends with 1 where something did
not hold.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # commands as the tests give them

from faulting import report
from faulting.report import Outcome

Part = Callable[[int, random.Random, Path], Outcome]


PARTS = {
    "kills": ("kills", "kills", 200),
    "processes": ("kills", "processes", 20),
    "damage": ("damage", "damage", 1000),
    "recipes": ("recipes", "recipes", 10_000),
    "mail": ("mail", "mail", 10_000),
    "disk": ("disk", "full", 70),
    "hangups": ("hangups", "hangups", 50),
    "soak": ("soak", "soak", 1_000_000),
}
"""Module and function of each part, and how often by default."""


def main() -> None:
    """Run the parts asked for."""
    asked = _asked()
    failed = 0
    for name in PARTS if asked.part == "all" else [asked.part]:
        module, function, count = PARTS[name]
        part: Part = getattr(import_module(f"faulting.{module}"), function)
        folder = tempfile.mkdtemp(prefix=f"faults_{name}_", dir=asked.dir)
        os.environ["COCKPIT_RUNS"] = folder
        began = time.monotonic()
        outcome = part(asked.count or count, random.Random(f"{asked.seed} {name}"), Path(folder))
        report.keep(report.stamp(outcome, time.monotonic() - began))
        if not asked.dir and not outcome.failures:
            shutil.rmtree(folder)
        for line in report.lines(outcome.part, outcome.tried, outcome.counts, outcome.failures):
            print(line)
        for failure in outcome.failures[: report.SHOWN]:
            print(f"  {failure}")
        failed += bool(outcome.failures)
    sys.exit(1 if failed else 0)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=(*PARTS, "all"))
    parser.add_argument("--count", type=int, default=0, help="how often, where not the part's own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", type=Path, help="leave the runs here; those of a part that failed are left anyway")
    return parser.parse_args()


if __name__ == "__main__":
    main()
