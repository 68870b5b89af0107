"""Steps a second: a plain PyTorch loop, ours with less and more around it, and the peers, in turn, on the same network.

    python benchmarks/loop.py [--cases mlp-64,resnet-64] [--rounds 5] [--threads 1] [--by wall|cpu] [--peers] [--waiting]

Every column is a process that trains only in its own turn. "Plain" is what anybody would write; "again" tells what the table
cannot; "lean" has a fused optimizer and sums neither loss nor accuracy, so that nothing is known; "ours bare" records nothing;
"ours" is a run as `cockpit train` flies it: host, mailbox, probes, default flags, the record on the disk; "+ screen" has the
screen attached too, on a terminal of 160x48. Evaluations are in no column. `--by cpu` counts the processor's time instead of
the clock's, for a machine that does other work. `--peers` sets other libraries beside it, where they are installed
(`uv pip install --group bench`); `--waiting` compares numbers of threads, how they wait, and how nice the screen is.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from looping import report
from looping.columns import Worker
from looping.measure import Plan, measure

from cockpit.bench.cases import CASES
from cockpit.bench.machine import machine

OWN = ("plain", "plain again", "plain, fused", "plain, lean", "ours bare", "ours", "ours + screen")
DEFAULT = {"own": tuple(CASES), "peers": ("mlp-64", "cnn-128", "resnet-64"), "waiting": ("mlp-512", "cnn-32", "resnet-64")}
"""The cases, where none are named."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--by", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--waiting", action="store_true")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no screen may be left standing still
    kind = "peers" if asked.peers else "waiting" if asked.waiting else "own"
    wanted = asked.cases.replace(",", " ").split() or list(DEFAULT[kind])
    if unknown := set(wanted) - set(CASES):
        parser.error(f"there is no case {min(unknown)}; there are {', '.join(CASES)}")
    print(f"`python benchmarks/loop.py {' '.join(sys.argv[1:])}`\n\n{machine()}\n", flush=True)
    workers = waiting() if kind == "waiting" else [Worker(name, threads=asked.threads) for name in names(kind)]
    threads = "" if kind == "waiting" else f"{asked.threads} thread{'s' if asked.threads > 1 else ''}, "
    lengths = (0.3, 0.3) if kind == "peers" else (1.2, 0.8)  # some peers take twenty times as long
    with tempfile.TemporaryDirectory() as folder:
        try:
            tables(wanted, Plan(asked.by, asked.rounds, Path(folder), *lengths), workers, threads)
        finally:
            for worker in workers:
                worker.close()


def names(kind: str) -> list[str]:
    from looping.peers import COLUMNS

    return ["plain", *COLUMNS] if kind == "peers" else list(OWN)


def waiting() -> list[Worker]:
    """A run with its screen attached; the first is how the host does it where nobody says anything."""
    made = []
    for threads in (2, 1):
        for column, waits in (("ours + screen", "sleeping"), ("ours + screen, as torch waits", "spinning")):
            for nice in (0, 10):
                name = f"{threads} thread{'s' if threads > 1 else ''}, {waits}, screen's nice {nice}"
                made.append(Worker(column, name=name, threads=threads, nice=nice))
    return made


def tables(cases: list[str], plan: Plan, workers: list[Worker], threads: str) -> None:
    missing = {worker.name: worker.ready() for worker in workers}
    for name, why in missing.items():
        if why:
            print(f"{name} is left out: {why}\n")
    there = [worker for worker in workers if not missing[worker.name]]
    columns = [worker.name for worker in there]
    print(report.head(plan, columns, threads), flush=True)
    outcomes = {}
    for case in cases:
        outcomes[CASES[case].name] = outcome = measure(case, there, plan)
        print(report.row(CASES[case].name, outcome, columns), flush=True)
    print(report.more(outcomes))


if __name__ == "__main__":
    main()
