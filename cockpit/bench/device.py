"""What the device can do: arithmetic by number format, and memory. Every figure is the best of several tries."""

from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch

from cockpit.bench.findings import Finding
from cockpit.bench.loops import settle

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}
TRIES = 5


def peaks(device: torch.device, *, side: int = 0) -> dict[str, float]:
    """Floating-point operations a second of a square matrix product, by precision: what no network can exceed.

    tf32 is there where the device is a GPU. `side`: of the matrices; 0: one that takes milliseconds.
    """
    side = side or (8192 if device.type == "cuda" else 1024)
    kinds = [("fp32", "highest"), ("bf16", "highest"), *([("tf32", "high")] if device.type == "cuda" else [])]
    found, before = {}, torch.get_float32_matmul_precision()
    try:
        for name, precision in kinds:
            torch.set_float32_matmul_precision(precision)
            one = torch.randn(side, side, device=device).to(FORMATS.get(name, torch.float32))
            found[name] = 2 * side**3 / _best(partial(torch.matmul, one, one), device)
    finally:
        torch.set_float32_matmul_precision(before)
    return found


def bandwidth(device: torch.device, *, megabytes: int = 0) -> float:
    """Bytes a second that a copy reads and writes, of an array that no cache holds."""
    megabytes = megabytes or (1024 if device.type == "cuda" else 128)
    source = torch.zeros(megabytes << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _best(lambda: target.copy_(source), device)


def _best(work: Callable[[], object], device: torch.device) -> float:
    work()
    taken = []
    for _ in range(TRIES):
        settle(device)
        began = perf_counter()
        work()
        settle(device)
        taken.append(perf_counter() - began)
    return min(taken)


def device_finding(device: torch.device, found: dict[str, float], bytes_s: float) -> Finding:
    """The line of these figures."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device}, {torch.get_num_threads()} threads"
    unit, word = (1e12, "TFLOP/s") if max(found.values()) > 1e12 else (1e9, "GFLOP/s")
    rates = ", ".join(f"{kind} {rate / unit:.3g}" for kind, rate in found.items())
    gain = max(found, key=found.__getitem__)
    times = found[gain] / found["fp32"]
    limit = (
        f"compute: a product gains nothing by {gain}" if gain == "fp32" else f"compute: {gain} has {times:.2g} times the speed"
    )
    said = f"matrix product {rates} {word}, memory {bytes_s / 1e9:.3g} GB/s"
    figures = {f"{kind}_flop_s": rate for kind, rate in found.items()} | {"bytes_s": bytes_s}
    return Finding("device", name, said, limit, "", figures)
