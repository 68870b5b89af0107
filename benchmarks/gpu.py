"""What a GPU makes of it, in one command of some minutes: tests, steps against the card's limit, the split of a step, waits.

    python benchmarks/gpu.py [--cases airbench,resnet18] [--rounds 3] [--seconds 2] [--no-tests]
    python benchmarks/gpu.py --device cpu --quick        # tiny, to see that it runs

Images a second, in turn: the limit (forward and backward of the network on one batch that never changes, as a CUDA graph: no
data, no optimizer, no host), a plain loop without augmentation, ours bare, and ours with augmentation, probes, default flags
and the record on the disk. All in bf16 and, where there are convolutions, channels_last.
"""

import argparse
import dataclasses
import itertools
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional

from cockpit.bench import loops
from cockpit.bench.cases import Case
from cockpit.bench.machine import machine
from cockpit.engine.training import Training

TESTS = ("tests/test_gpu.py", "tests/test_distributed_gpu.py", "tests/test_switches.py")
CROP = "tricks={random_crop: {pad: 2}, random_flip: {mode: alternating}}"
CUT = "tricks={random_resized_crop: on, random_flip: on}"
LAST = "train.channels_last=on"
COMMON = ("train.precision=bf16", "data.mirror=on")
AIRBENCH = Case("airbench, 32x32, batch 1024", "{name: airbench, width: 1}", 32, 3, 1024, 40_960)
RESNET = Case("ResNet-18, 224x224, batch 128", "{name: torchvision, which: resnet18}", 224, 3, 128, 2_560)
VIT = Case("ViT-S/16, 224x224, batch 128", "{name: timm, which: vit_small_patch16_224}", 224, 3, 128, 2_560)
MLP = Case("MLP 64, 8x8, batch 64", "{name: mlp, widths: [64]}", 8, 1, 64, 60_000)
CASES: dict[str, tuple[Case, tuple[str, ...]]] = {
    "airbench": (AIRBENCH, (CROP, LAST)),
    "airbench-compiled": (AIRBENCH, (CROP, LAST, "train.compile=default")),
    "airbench-graphs": (AIRBENCH, (CROP, LAST, "train.compile=reduce-overhead")),
    "resnet18": (RESNET, (CUT, LAST)),
    "resnet18-compiled": (RESNET, (CUT, LAST, "train.compile=default")),
    "vit-s": (VIT, (CUT,)),
    "vit-s-compiled": (VIT, (CUT, "train.compile=default")),
    "mlp": (MLP, ()),
    "mlp-graphs": (MLP, ("train.compile=reduce-overhead",)),
}


def smaller(case: Case) -> Case:
    """The same kind of step, in a blink on a CPU."""
    side = min(case.size, 32)
    model = case.model.replace("width: 1", "width: 0.125").replace("resnet18", "squeezenet1_1")
    if "vit" in model:
        model = "{name: vit, patch: 8, dim: 16, depth: 1, heads: 2}"
    return dataclasses.replace(case, name=f"{case.name}, made tiny", model=model, size=side, batch=8, images=64)


def limit(job: Training) -> Iterator[None]:
    """Forward and backward on one batch, over and over; one graph where there is CUDA."""
    model, batch = job.model.train(), job.train.clean(next(job.rest_of_epoch()))
    weights = [weight for weight in model.parameters() if weight.requires_grad]

    def passes() -> None:
        with torch.autocast(job.device.type, torch.bfloat16, cache_enabled=False):
            logits = model(batch.x)
        torch.autograd.grad(functional.cross_entropy(logits.float(), batch.y), weights)

    if job.device.type != "cuda":
        while True:
            passes()
            yield
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            passes()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        passes()
    while True:
        graph.replay()
        yield


def built(case: Case, edits: tuple[str, ...], device: str, *, plain: bool = False) -> Training:
    """A training in bf16; `plain` leaves the tricks out."""
    kept = [edit for edit in edits if not (plain and edit.startswith("tricks"))]
    job, _ = loops.built(case, *COMMON, f"train.device={device}", *kept)
    return job


def waits(lane: Iterator[None], steps: int) -> str:
    """How often the host waited for the device in so many steps, and why first."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            deque(itertools.islice(lane, steps), maxlen=0)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found = [str(each.message) for each in caught if "synchroniz" in str(each.message)]
    return f"{len(found)} in {steps} steps" + (f": {found[0][:80]}" if found else "")


def split(job: Training) -> str:
    """Where a step's time goes."""
    spent = job.stages.device if job.device.type == "cuda" else job.stages.host
    parts = {stage: spent[stage] for stage in ("data", "forward", "backward", "optimizer")}
    whole = sum(parts.values()) or 1.0
    return ", ".join(f"{stage} {100 * part / whole:.0f} %" for stage, part in parts.items())


def row(name: str, folder: Path, asked: argparse.Namespace) -> str:
    """Every lane of a case in turn."""
    case, edits = CASES[name]
    case = smaller(case) if asked.quick else case
    uncompiled = tuple(edit for edit in edits if not edit.startswith("train.compile"))
    whole, loaded = loops.built(case, *COMMON, f"train.device={asked.device}", *edits)
    plain = built(case, edits, asked.device, plain=True)
    lanes = {
        "limit": limit(built(case, uncompiled, asked.device, plain=True)),
        "plain": loops.plain(plain, fused=True, precision=plain.precision),
        "bare": loops.ours(built(case, edits, asked.device, plain=True)),
        "whole": loops.ours(whole, loops.record(whole, loaded, folder)),
    }
    steps = {}
    for key, lane in lanes.items():
        deque(itertools.islice(lane, 3 if asked.quick else 25), maxlen=0)
        steps[key] = max(2, round(5 * asked.seconds / loops.seconds(lane, 5, whole.device)))
    rates = [
        {key: steps[key] * case.batch / loops.seconds(lane, steps[key], whole.device) for key, lane in lanes.items()}
        for _ in range(asked.rounds)
    ]
    cells = [f"{statistics.median(each['limit'] for each in rates):,.0f}"]
    for key in ("plain", "bare", "whole"):
        share = [each[key] / each["limit"] for each in rates]
        against = "" if key == "plain" else f", {statistics.median(each[key] / each['plain'] for each in rates):.3f} of plain"
        rate = statistics.median(each[key] for each in rates)
        cells.append(f"{rate:,.0f} ({statistics.median(share):.2f} of the limit{against})")
    cells += [split(whole), waits(lanes["whole"], 40) if whole.device.type == "cuda" else "a GPU's question"]
    return f"| {case.name}, {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-tests", action="store_true")
    asked = parser.parse_args()
    asked.seconds, asked.rounds = (0.1, 1) if asked.quick else (asked.seconds, asked.rounds)
    names = asked.cases.replace(",", " ").split() or list(CASES)
    if unknown := set(names) - set(CASES):
        parser.error(f"there is no case {min(unknown)}; there are {', '.join(CASES)}")
    if asked.device != "cpu" and not asked.no_tests:
        command = ["timeout", "240", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
        subprocess.run(command, check=False, cwd=Path(__file__).parents[1])
    card = torch.cuda.get_device_name() if asked.device != "cpu" else "CPU"
    print(f"`python benchmarks/gpu.py {' '.join(sys.argv[1:])}`\n\n{machine()} · {card}\n")
    print(
        "| network | limit, images/s | plain | ours bare | ours whole | a step of ours | waits |\n|---|---|---|---|---|---|---|"
    )
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(row(name, Path(folder), asked), flush=True)
            except Exception as error:  # one case must not cost the others their loan
                print(f"| {name} | {type(error).__name__}: {str(error).splitlines()[0][:150]} ||||||", flush=True)
        if asked.device != "cpu":
            torch._dynamo.reset()
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
