"""What a part of the campaign found, kept as JSON, and the page of all parts."""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
SHOWN = 20
"""Failures that a page lists of each part; it always says how many there were."""


@dataclass
class Outcome:
    """Of one part: counts by name, in the order in which they are to be read, and what did not hold."""

    part: str
    tried: int = 0
    counts: dict[str, int | float | str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    command: str = ""
    date: str = ""

    def count(self, name: str, more: int = 1) -> None:
        """One more of something."""
        self.counts[name] = int(self.counts.get(name, 0)) + more

    def fail(self, what: str) -> None:
        """Something did not hold."""
        self.failures.append(what)
        print(f"  FAILED: {what}", file=sys.stderr, flush=True)


def stamp(outcome: Outcome, seconds: float) -> Outcome:
    """With what was called, when, and how long it took."""
    outcome.command = " ".join(["python benchmarks/faults.py", *sys.argv[1:]])
    outcome.date, outcome.seconds = time.strftime("%Y-%m-%d"), round(seconds, 1)
    return outcome


def machine() -> str:
    """Where it ran, and with what."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "textual", "training-cockpit"))
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"
    return f"{where}; Python {platform.python_version()}, {versions}; OMP_NUM_THREADS=1"


def keep(outcome: Outcome) -> None:
    """Put a part's outcome in the place of its last, and write the page anew."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "faults.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept[outcome.part] = {**asdict(outcome), "machine": machine()}
    path.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    (RESULTS / "faults.md").write_text("\n".join(page(kept)) + "\n", encoding="utf-8")


def lines(part: str, tried: int, counts: dict[str, int | float | str], failures: list[str]) -> Iterator[str]:
    """The rows of a part."""
    yield f"| {part} | {tried:,} | {len(failures):,} |"
    for name, count in counts.items():
        yield f"| - {name} | {count if isinstance(count, str) else f'{count:,}'} | |"


def page(kept: dict[str, dict]) -> Iterator[str]:  # type: ignore[type-arg]
    """The Markdown of all parts that were ever run."""
    yield "# Faults\n\nWritten by `python benchmarks/faults.py`; what each part does stands in the head of that file.\n"
    yield "| part | tried | failed |\n|---|---|---|"
    for one in kept.values():
        yield from lines(one["part"], one["tried"], one["counts"], one["failures"])
    yield "\n## How each was run\n"
    for one in kept.values():
        yield f"- {one['part']}: `{one['command']}`, {one['date']}, {one['seconds'] / 60:.1f} min. {one['machine']}."
    if any(one["failures"] for one in kept.values()):
        yield "\n## What did not hold\n"
        for one in kept.values():
            yield from (f"- {one['part']}: {failure}" for failure in one["failures"][:SHOWN])
            if len(one["failures"]) > SHOWN:
                yield f"- {one['part']}: and {len(one['failures']) - SHOWN:,} more"
