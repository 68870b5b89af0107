"""Steps a second: a plain PyTorch loop, ours with less and more around it, and the peers, in turn, on the same network.

    python benchmarks/loop.py [--cases mlp-64,resnet-64] [--rounds 5] [--threads 1] [--by wall|cpu] [--peers] [--waiting]

Every column is a process that trains only in its own turn. "Plain" is what anybody would write; "ours bare" records nothing;
"ours" is a run as `cockpit train` flies it: host, mailbox, probes, default flags, the record on the disk; "+ screen" has the
screen attached too, on a terminal of 160x48. Evaluations are in no column. `--by cpu` counts the processor's time instead of
the clock's, for a machine that does other work. `--peers` sets other libraries beside it, where they are installed
(`uv pip install --group bench`); `--waiting` compares numbers of threads, how they wait, and how nice the screen is.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from looping import report
from looping.columns import Worker
from looping.measure import Plan, measure

from cockpit.bench.cases import CASES
from cockpit.bench.machine import machine

OWN = ("plain", "plain again", "plain, fused", "ours bare", "ours", "ours + screen")
FOR_PEERS = ("mlp-64", "cnn-128", "resnet-64")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--by", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--waiting", action="store_true")
    asked = parser.parse_args()
    wanted = [name for name in asked.cases.replace(",", " ").split() if name] or list(FOR_PEERS if asked.peers else CASES)
    if unknown := set(wanted) - set(CASES):
        parser.error(f"there is no case {min(unknown)}; there are {', '.join(CASES)}")
    print(f"`python benchmarks/loop.py {' '.join(sys.argv[1:])}`\n\n{machine()}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(asked.threads, asked.by, asked.rounds, Path(folder))
        tables(wanted, plan, peers=asked.peers)


def tables(cases: list[str], plan: Plan, *, peers: bool) -> None:
    names = ["plain", *peer_names()] if peers else list(OWN)
    workers = [Worker(name) for name in names]
    try:
        missing = {worker.name: worker.ready() for worker in workers}
        for name, why in missing.items():
            if why:
                print(f"{name} is left out: {why}")
        there = [worker for worker in workers if not missing[worker.name]]
        print(report.head(plan, [worker.name for worker in there]), flush=True)
        outcomes = {}
        for case in cases:
            outcomes[case] = measure(case, there, plan)
            print(report.row(CASES[case].name, outcomes[case], [worker.name for worker in there]), flush=True)
        print(report.more({CASES[case].name: outcome for case, outcome in outcomes.items()}))
    finally:
        for worker in workers:
            worker.close()


def peer_names() -> list[str]:
    from looping.peers import COLUMNS

    return list(COLUMNS)


if __name__ == "__main__":
    main()
