"""Runs of a million and ten million steps, a network of a thousand layers, and on demand a folder of a million images.

    uv run python benchmarks/scale.py [--million-files]

Every figure of a run is taken from outside: from exec to exit, or to the bytes on a pseudo-terminal of 160x48. Memory is told
twice: a process's own, and with the pages of mapped files, which the system takes back when it needs them.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from scaling.cost import PYTHON, cost, memory, table
from scaling.folders import folders
from scaling.nets import instruments, judged
from scaling.runs import draw_out
from screen import COCKPIT, terminal

from cockpit.runs.directory import RunDir, list_runs
from cockpit.runs.history import read_history

SIZES = ((1_000_000, 1_000, "1.0 s, 200 MB"), (10_000_000, 10_000, "3.0 s"))
"""Steps, evaluations, and what is to hold."""
COMMANDS = (("runs",), ("show",), ("show", "--json"), ("show", "--plot"))
HOST = """
import sys, time
from pathlib import Path
import cockpit.engine.logbook as logbook
from cockpit.catalog import flags
from cockpit.runs.directory import RunDir
every = [card.cls() for card in flags().values()]
begun = time.perf_counter()
book = logbook.Logbook(RunDir(Path(sys.argv[1])))
book.watch_with(every)
print(time.perf_counter() - begun)
"""


def attached() -> tuple[float, float, tuple[float, float]]:
    """(seconds to every pane, milliseconds from a key to its answer, memory) of `cockpit attach`."""
    with terminal(*COCKPIT, "attach") as opened:
        shown, taken = opened.until("val accuracy") - opened.begun, []
        opened.idle(2)
        for _ in range(5):
            pressed = opened.press(b"t")
            taken.append(opened.until("Toggle or choose") - pressed)
            opened.press(b"p")
            opened.idle(0.5)
        return shown, statistics.median(taken) * 1000, memory(opened.process.pid)


def runs_table(template: RunDir, folder: Path) -> None:
    """Every way to open a run, by its length."""
    rows: list[tuple[object, ...]] = []
    for steps, evaluations, hold in ((template, 2, ""), *SIZES):
        run = steps if isinstance(steps, RunDir) else draw_out(template, folder / str(steps), steps, evaluations)
        os.environ["COCKPIT_RUNS"] = str(run.path.parent)
        size = "38" if isinstance(steps, RunDir) else f"{steps:,}"
        for command in COMMANDS if size != "38" else COMMANDS[1:2]:
            seen = min((cost(*COCKPIT, *command) for _ in range(3)), key=lambda each: each.seconds)
            rows.append(
                (size, f"`cockpit {' '.join(command)}`", f"{seen.seconds:.2f}", f"{seen.own:.0f}", f"{seen.all:.0f}", hold)
            )
        shown, key, (own, most) = min(attached() for _ in range(3))
        rows.append((size, "`cockpit attach`: every pane", f"{shown:.2f}", f"{own:.0f}", f"{most:.0f}", hold))
        rows.append((size, "a key answered there", f"{key / 1000:.3f}", "", "", "0.050"))
        host = cost(PYTHON, "-c", HOST, str(run.path))
        rows.append((size, "a resuming host: record read, flags caught up", f"{float(host.said):.2f}", "", "", hold))
        if steps == SIZES[0][0]:
            rows.append((size, "`cockpit replay`", f"{cost(*COCKPIT, 'replay').seconds:.1f}", "", "", ""))
            nets_table(run)
    print(table("steps | | seconds | own MB | with maps, MB | hold", *rows))


def nets_table(run: RunDir) -> None:
    """The instruments, by the number of layers."""
    history = read_history(run)
    found = [instruments(count) + judged(history, count) for count in (10, 1000)]
    rows = [(name, f"{few:.2f}", f"{many:.2f}") for (name, few), (_, many) in zip(*found, strict=True)]
    print(table("milliseconds | 10 layers | 1,000 layers", *rows))


def main() -> None:
    """Measure, and print a page of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million-files", action="store_true", help="make a folder of a million images, and start on it")
    asked = parser.parse_args()
    python, numpy = sys.version.split()[0], version("numpy")
    print(f"{os.cpu_count()} cores · load {os.getloadavg()[0]:.1f} at the start · Python {python} · numpy {numpy}")
    print(f"`python benchmarks/scale.py{' --million-files' * asked.million_files}` · {time.strftime('%Y-%m-%d')}\n")
    folder = Path(tempfile.mkdtemp())
    try:
        os.environ["COCKPIT_RUNS"] = str(folder / "short")
        train = [*COCKPIT, "train", "first_flight", "--set", "train.epochs=2", "--json"]
        subprocess.run(train, check=True, capture_output=True)
        runs_table(list_runs(folder / "short")[0], folder)
        if asked.million_files:
            print(table("a start on 1,000,000 files in 1,000 folders | seconds | own MB", *folders(folder)))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
