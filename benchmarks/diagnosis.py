"""How well the flags tell sick runs from healthy ones, how soon, and whether their remedies cure.

    python benchmarks/diagnosis.py record --out DIR [--cases 'mnist_*'] [--seeds 0,1,2] [--jobs 2]
    python benchmarks/diagnosis.py judge DIR [--cases 'mnist_*'] [--flags lr_too_high,dead_relu]
    python benchmarks/diagnosis.py cure DIR --out DIR2
    python benchmarks/diagnosis.py all --out DIR

`record` trains every case and leaves whole run directories, so that `judge` can replay today's flags over them in seconds.
`cure` applies the first remedy of the first right finding, else the second, to the recipe and trains it anew, with the same
seed. `all` does the three, and writes benchmarks/results/diagnosis.md and .json.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from diagnosing import table
from diagnosing.cases import CASES, cases
from diagnosing.cure import cure
from diagnosing.record import jobs_of, record, recorded
from diagnosing.verdicts import Verdict, lines, verdicts

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Obey the verb."""
    asked = _asked()
    out = asked.out or asked.dir
    if asked.verb in ("record", "all"):
        for card in record(jobs_of(cases(asked.file, asked.cases), asked.seeds, out), asked.jobs):
            print(f"{card.case} {card.seed}: {card.accuracy:.3f}, {card.state}, {card.seconds:.0f} s", flush=True)
    if asked.verb == "record":
        return
    known = {case.id: case for case in cases(asked.file, asked.cases)}
    chosen = [(card, path, known[card.case]) for card, path in recorded(asked.dir or out) if card.case in known]
    seen = verdicts([work for work in chosen if work[0].seed in asked.seeds], asked.flags, asked.jobs)
    if asked.flags:
        _calibration(seen)
        return
    found = table.figures(seen)
    page = "\n".join(table.page(seen, found))
    print(page)
    if asked.verb in ("cure", "all"):
        cured, more = cure(seen, out / "cured" if asked.verb == "all" else out, asked.file, asked.jobs)
        print(more)
        if asked.verb == "all":
            spent = [card.seconds for folder in (out, out / "cured") for card, _ in recorded(folder)]
            _write(page, more, {**found, "cure": cured}, sum(spent))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("record", "judge", "cure", "all"))
    parser.add_argument("dir", type=Path, nargs="?", help="recorded runs")
    parser.add_argument("--out", type=Path, help="where runs are left")
    parser.add_argument("--from", dest="file", type=Path, default=CASES, help="the file of cases")
    parser.add_argument("--cases", default="*", help="patterns of names, with commas between them")
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--flags", type=lambda text: frozenset(text.split(",")), default=frozenset(), help="judge these alone")
    asked = parser.parse_args()
    if asked.dir is None and asked.out is None:
        parser.error("name the folder of the runs")
    os.environ.setdefault("COCKPIT_DATA", str(asked.file.resolve().parents[1] / "data"))
    return asked


def _calibration(seen: Sequence[Verdict]) -> None:
    """Every finding of the flags asked for, run by run, with the truth."""
    for run in seen:
        expected = "" if run.health != "sick" else f", expected {', '.join(run.spec.expected)}"
        print(f"{run.card.case} {run.card.seed}: {run.health} ({run.card.accuracy:.3f}){expected}")
        print("".join(f"{line}\n" for line in lines(run)), end="")


def _write(page: str, cured: str, found: dict[str, object], seconds: float) -> None:
    import torch

    RESULTS.mkdir(exist_ok=True)
    head = f"torch {torch.__version__}, {os.cpu_count()} cores, {seconds / 60:.0f} minutes of training on one core each."
    text = f"# Diagnosis\n\n`python benchmarks/diagnosis.py all`. {head}\n\n{page}\n\n{cured}\n"
    (RESULTS / "diagnosis.md").write_text(text, encoding="utf-8")
    (RESULTS / "diagnosis.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
