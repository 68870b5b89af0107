"""One host with a screen attached over very many steps: what grows, and how fast."""

import random
import time
from pathlib import Path

import numpy as np
import psutil

from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader, read_history
from faulting.hangups import Terminal
from faulting.hosts import fork, warm
from faulting.report import Outcome

BATCH = 4
IMAGES = 1280
"""Training images of the digits."""
RECIPE = f"""
about: a long life
data: {{source: digits}}
model: {{name: mlp, widths: [16], norm: none}}
optimizer: {{name: sgd, lr: 0.001}}
schedule: constant
train: {{epochs: EPOCHS, batch_size: {BATCH}, device: cpu, precision: fp32}}
"""
EVERY = 10.0
"""Seconds between two samples."""
WARM_UP = 0.2
"""Share of the samples that no slope is drawn through."""


def soak(count: int, _: random.Random, root: Path) -> Outcome:
    """So many steps. RSS is what counts: pages that a fork shared with this process become its own (USS) as it touches them."""
    warm()
    import cockpit.ui.app
    import cockpit.ui.screens.cockpit  # noqa: F401

    out = Outcome("soak")
    epochs = max(1, count * BATCH // IMAGES)
    run = new_run(loads(RECIPE.replace("EPOCHS", str(epochs))), root, "soak", allow_code=False, command=[])
    host = fork(run, haste=False)
    screen = Terminal("attach", str(run.path))
    samples = []
    began = time.monotonic()
    while host.watch(time.monotonic() - host.begun + 0.1):
        host.trace.clear()
        screen.read(EVERY, lambda: False)
        screen.seen = b""
        sample = _sample(run, host.pid, screen.pid)
        if sample:
            samples.append(sample)
    screen.kill()
    history = read_history(run)
    out.tried = history.step
    if host.code or not history.ended or history.ended.state != "finished":
        out.fail(f"the host left with {host.code}, {history.ended}")
    _report(np.array(samples), run, time.monotonic() - began, out)
    return out


def _sample(run: RunDir, host: int, screen: int) -> tuple[float, ...] | None:
    """(step, host USS, host RSS, screen USS, screen RSS, bytes of the directory)"""
    reader = RunReader(run)
    reader.poll()
    try:
        memory = [psutil.Process(pid).memory_full_info() for pid in (host, screen)]
    except psutil.Error:
        return None
    if not all(seen.rss for seen in memory):  # one has just ended
        return None
    size = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file() and not path.name.endswith(".part"))
    return (reader.history.step, *(kind for seen in memory for kind in (seen.uss, seen.rss)), size)


def _report(samples: np.ndarray, run: RunDir, seconds: float, out: Outcome) -> None:  # type: ignore[type-arg]
    if len(samples) < 10:
        out.fail(f"only {len(samples)} samples")
        return
    late = samples[int(WARM_UP * len(samples)) :]
    out.counts["samples"] = len(samples)
    out.counts["steps a second"] = round(out.tried / seconds)
    for column, name in enumerate(("host USS", "host RSS", "screen USS", "screen RSS"), start=1):
        slope = np.polyfit(late[:, 0], late[:, column], 1)[0] * 1e5 / 1024
        ends = f"{late[0, column] / 2**20:.1f} MiB after the warm-up, {late[-1, column] / 2**20:.1f} at the end"
        out.counts[f"{name}, kB per 100,000 steps"] = f"{slope:+,.1f} ({ends})"
    growth = np.polyfit(late[:, 0], late[:, 5], 1)[0]
    tables = {path.stem: path.stat().st_size / out.tried for path in (run.path / "metrics").glob("*.bin")}
    tables["events"] = run.events.stat().st_size / out.tried
    parts = ", ".join(f"{name} {size:.1f}" for name, size in sorted(tables.items()))
    out.counts["bytes of the directory per step"] = f"{growth:.1f} ({parts})"
