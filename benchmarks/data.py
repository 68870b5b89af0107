"""Images a second, ready for the network: ours, torchvision's DataLoader and timm's, with the same augmentation, in turn.

    python benchmarks/data.py [--cases colour-flip,cut] [--rounds 5] [--seconds 0.7] [--threads 1] [--by wall] [--device cpu]

Ours: bytes on the device, changed there in batches; photographs are decoded ahead by processes of their own. torchvision and
timm: each image on its own, in this process (0 workers) or in two others. Workers go on for a few batches while it is not
their turn, and those batches are theirs for nothing. Resized crops of photographs are cut from the image as it is stored: ours
from 224x224, theirs from the whole file. timm jitters in a random order and has no pad-crop, so it is in the cases with a
resized crop alone. `--by cpu` counts this process's time on the processor instead of the clock's, for a machine that does
other work; what has workers is left out then.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from feeding.cases import CASES
from feeding.ways import stored, ways

from cockpit.bench.machine import machine

COLUMNS = ("ours", "torchvision, 0 workers", "torchvision, 2 workers", "timm, 0 workers", "timm, 2 workers")


def rate(batches: Iterator[torch.Tensor], asked: argparse.Namespace) -> float:
    """Images a second."""
    clock = time.process_time if asked.by == "cpu" else time.perf_counter
    images, began = 0, clock()
    while clock() - began < asked.seconds:
        images += len(next(batches))
    if asked.device == "cuda":
        torch.cuda.synchronize()
    return images / (clock() - began)


def row(name: str, folder: Path, asked: argparse.Namespace) -> str:
    lanes = ways(CASES[name], folder, asked.device, (0,) if asked.by == "cpu" else (0, 2))
    for lane in lanes.values():
        for _ in range(3):
            next(lane)
    rounds = [{way: rate(lane, asked) for way, lane in lanes.items()} for _ in range(asked.rounds)]
    cells = []
    for way in COLUMNS:
        if way not in lanes:
            cells.append("")
            continue
        rates = [each[way] for each in rounds]
        ratio = statistics.median(each["ours"] / each[way] for each in rounds)
        times = "" if way == "ours" else f" · {ratio:.3g} times"
        cells.append(f"{statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f}){times}")
    return f"| {CASES[name].about} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--by", choices=("wall", "cpu"), default="wall")
    asked = parser.parse_args()
    names = asked.cases.replace(",", " ").split() or [name for name in CASES if asked.by == "wall" or not CASES[name].files]
    if unknown := set(names) - set(CASES):
        parser.error(f"there is no case {min(unknown)}; there are {', '.join(CASES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that workers end too
    torch.set_num_threads(asked.threads)
    print(f"`python benchmarks/data.py {' '.join(sys.argv[1:])}`\n\n{machine()} · {asked.device}, {asked.threads} thread(s)\n")
    unit = "second of the processor" if asked.by == "cpu" else "second"
    print(f"Images a {unit}: median (lowest - highest) · how many times as fast ours is, the median of the rounds.\n")
    print(f"| images and augmentation | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    with stored() as folder:
        for name in names:
            print(row(name, Path(folder), asked), flush=True)


if __name__ == "__main__":
    main()
