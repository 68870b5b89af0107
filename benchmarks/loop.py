"""Steps a second: a plain PyTorch loop beside ours, on the same network and batches, interleaved in one process.

    python benchmarks/loop.py [--rounds 7] [--steps 200]

ours bare = the loop with no tricks and nothing recorded; ours whole = default flags, probes and the run directory on disk.
"""

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine.assemble import assemble, started
from cockpit.engine.logbook import Logbook
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.launch import new_run
from cockpit.recipe import loads, to_tree

CASES = {
    "mlp 64, batch 64, 8x8": ("{source: digits}", "{name: mlp, widths: [64]}", 64),
    "small_cnn, batch 128, 28x28": (
        "{source: synthetic, size: 28, channels: 1, train: 4000, test: 100}",
        "{name: small_cnn, widths: [32, 64, 128], convs: 1}",
        128,
    ),
    "resnet 20, batch 64, 32x32": (
        "{source: synthetic, size: 32, channels: 3, train: 2000, test: 100}",
        "{name: resnet, depth: 20}",
        64,
    ),
}


def recipe_of(data: str, model: str, batch: int) -> str:
    return (
        f"data: {data}\nmodel: {model}\noptimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}\nschedule: cosine\n"
        f"train: {{epochs: 100000, batch_size: {batch}, precision: fp32}}\n"
    )


def places_of(job):
    """Endless batches, as the loop gets them."""
    while True:
        yield from job.rest_of_epoch()


def plain(text: str):
    """A plain loop on the same data: what anybody would write."""
    recipe = loads(text)
    job, _ = assemble(recipe, Places(root=data_root()))
    model, feed = job.model.train(), job.train
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, job.total_steps)
    batches = places_of(job)

    def run(steps: int) -> None:
        for _ in range(steps):
            ids = next(batches)
            x = (feed.pixels[ids].float().mul_(feed.scale) - feed.mean) / feed.std
            loss = functional.cross_entropy(model(x), feed.labels[ids])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    return run


def ours(text: str, folder: Path | None):
    """Our loop; with a folder, its whole record and its flags."""
    recipe = loads(text)
    job, loaded = assemble(recipe, Places(root=data_root()))
    job.model.train()
    batches = places_of(job)
    if folder is None:
        job.probe.every = 10**9
        recorder = Recorder(lambda steps, layers: None)
    else:
        log = Logbook(new_run(recipe, folder, "bench", allow_code=False, command=[]))
        log.history.recipe = to_tree(recipe)
        log.write(started(job, loaded))
        log.watch_with(recipe.flags.values())
        recorder = Recorder(log.deliver)

    def run(steps: int) -> None:
        recorder.restart_clock()
        for _ in range(steps):
            take_step(job, next(batches), recorder)
        recorder.flush()

    return run


def rate(run, steps: int) -> float:
    began = time.perf_counter()
    run(steps)
    return steps / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, {options.threads} threads")
    print("| case | plain, steps/s | ours bare | ours whole |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            text = recipe_of(*case)
            runs = [plain(text), ours(text, None), ours(text, Path(folder))]
            steps = options.steps if "mlp" in name else options.steps // 10
            for run in runs:
                rate(run, max(30, steps // 4))
            rounds = [[rate(run, steps) for run in runs] for _ in range(options.rounds)]
            ratios = [[row[k] / row[0] for row in rounds] for k in (1, 2)]
            cells = [f"{statistics.median(r):.3f} ({min(r):.3f}-{max(r):.3f})" for r in ratios]
            print(f"| {name} | {statistics.median(row[0] for row in rounds):.1f} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
