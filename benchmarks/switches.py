"""What each switch for speed is worth here: steps of a training with it and without it, in turn.

    python benchmarks/switches.py [--cases cnn-128,vit-64] [--rounds 5] [--threads 1] [--device cpu] [--by wall|cpu]

That a switch changes nothing but the speed is tested in tests/test_switches.py. "loop over weights" is the optimizer without
one kernel for the whole step. The first steps, in which torch compiles, are not timed; how long they take is told.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator

import torch

from cockpit.bench import loops
from cockpit.bench.cases import CASES, Case
from cockpit.bench.machine import machine

SWITCHES: dict[str, tuple[str, ...]] = {
    "plain fp32": (),
    "again": (),
    "loop over weights": (),
    "channels_last": ("train.channels_last=on",),
    "bf16": ("train.precision=bf16",),
    "bf16, channels_last": ("train.precision=bf16", "train.channels_last=on"),
    "compile": ("train.compile=default",),
    "compile, bf16": ("train.compile=default", "train.precision=bf16"),
}
ON_GPU: dict[str, tuple[str, ...]] = {
    "tf32": ("train.precision=tf32",),
    "fp16": ("train.precision=fp16",),
    "reduce-overhead, bf16": ("train.compile=reduce-overhead", "train.precision=bf16"),
}
DEFAULT = ("mlp-64", "cnn-128", "resnet-64", "vit-64")


def lane(case: Case, switch: str, edits: tuple[str, ...], device: str) -> Iterator[None]:
    """Our loop, bare."""
    job, _ = loops.built(case, f"train.device={device}", *edits)
    if switch == "loop over weights":
        for group in job.optimizer.param_groups:
            group.update(fused=False, foreach=False)
    return loops.ours(job)


def rate(steps: Iterator[None], count: int, asked: argparse.Namespace) -> float:
    """Steps a second."""
    if asked.by == "wall":
        return count / loops.seconds(steps, count, torch.device(asked.device))
    began = time.process_time()
    deque(itertools.islice(steps, count), maxlen=0)
    return count / (time.process_time() - began)


def rows(name: str, asked: argparse.Namespace) -> Iterator[str]:
    """One for each switch."""
    switches = SWITCHES | (ON_GPU if asked.device != "cpu" else {})
    lanes, first, counts = {}, {}, {}
    for switch, edits in switches.items():
        began = time.perf_counter()
        lanes[switch] = lane(CASES[name], switch, edits, asked.device)
        next(lanes[switch])
        first[switch] = time.perf_counter() - began
        deque(itertools.islice(lanes[switch], 5), maxlen=0)
        counts[switch] = max(3, round(asked.seconds * rate(lanes[switch], 3, asked)))
    rounds = [{switch: rate(lanes[switch], counts[switch], asked) for switch in switches} for _ in range(asked.rounds)]
    for switch in switches:
        ratios = [each[switch] / each["plain fp32"] for each in rounds]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
        speed = statistics.median(each[switch] for each in rounds)
        yield f"| {CASES[name].name} | {switch} | {speed:,.1f} | {spread} | {first[switch]:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(DEFAULT), help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--by", choices=("wall", "cpu"), default="wall")
    asked = parser.parse_args()
    names = asked.cases.replace(",", " ").split()
    if unknown := set(names) - set(CASES):
        parser.error(f"there is no case {min(unknown)}; there are {', '.join(CASES)}")
    torch.set_num_threads(asked.threads)
    print(
        f"`python benchmarks/switches.py {' '.join(sys.argv[1:])}`\n\n{machine()} · {asked.device}, {asked.threads} thread(s)\n"
    )
    unit = "second of the processor" if asked.by == "cpu" else "second"
    print(f"| network | switch | steps a {unit} | against plain fp32 | first step, s |\n|---|---|---|---|---|")
    for name in names:
        torch._dynamo.reset()
        for line in rows(name, asked):
            print(line, flush=True)


if __name__ == "__main__":
    main()
