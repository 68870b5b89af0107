"""What watching costs: a small convolutional network trained by a plain loop, alone and watched, in turns.

    python benchmarks/watch.py [DEVICE] [PAIRS] [STEPS]

Prints the ratio of the watched to the plain time for each pair, and their median. On a processor, time is what the process
used of it, so that a busy machine does less harm; on a GPU it is the time on the wall.
"""

import statistics
import sys
import tempfile
import time
from typing import Any

import torch
from torch import nn

from cockpit import watch

WARM = 30
BATCH = 64


def network() -> nn.Module:
    layers: list[nn.Module] = []
    for below, above in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(below, above, 3, padding=1), nn.BatchNorm2d(above), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 10))


def seconds(device: torch.device, steps: int, watched: bool, x: Any, y: Any) -> float:
    """Training time after the warm steps; the watched loop's rows are on the disk by then."""
    torch.manual_seed(0)
    net, loss_of = network().to(device), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    with tempfile.TemporaryDirectory() as folder:
        run = watch(net, optimizer, runs=folder, criterion=loss_of, total_steps=steps + WARM, probe=(x, y)) if watched else None
        if run is not None:
            run.start()
        began = 0.0
        for step in range(steps + WARM):
            if step == WARM:
                _settle(device)
                began = _clock(device)
            places = torch.randint(0, len(x), (BATCH,), device=device)
            optimizer.zero_grad()
            logits = net(x[places])
            loss = loss_of(logits, y[places])
            loss.backward()
            optimizer.step()
            if run is not None:
                run.step(loss, logits, y[places])
        _settle(device)
        taken = _clock(device) - began
        if run is not None:
            run.close()
    return taken


def _clock(device: torch.device) -> float:
    return time.perf_counter() if device.type == "cuda" else time.process_time()


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    pairs, steps = (int(sys.argv[place]) if len(sys.argv) > place else usual for place, usual in ((2, 7), (3, 150)))
    torch.manual_seed(1)
    x, y = torch.randn(1024, 3, 32, 32, device=device), torch.randint(0, 10, (1024,), device=device)
    ratios, plain = [], []
    for pair in range(pairs):
        order = (False, True) if pair % 2 else (True, False)
        taken = {watched: seconds(device, steps, watched, x, y) for watched in order}
        ratios.append(taken[True] / taken[False])
        plain.append(taken[False] / steps * 1000)
        print(f"pair {pair + 1}: plain {plain[-1]:.3f} ms a step, watched / plain {ratios[-1]:.4f}", flush=True)
    middle = f"median {statistics.median(ratios):.4f}, {min(ratios):.4f} to {max(ratios):.4f}"
    print(f"{device}: {middle} over {pairs} pairs of {steps} steps of {statistics.median(plain):.2f} ms")


if __name__ == "__main__":
    main()
