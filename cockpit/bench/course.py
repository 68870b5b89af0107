"""All that `cockpit bench` measures, in order: what needs no torch goes first."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from cockpit.bench.findings import Finding

Tell = Callable[[str], None]


def course(root: Path, tell: Tell) -> Iterator[Finding]:
    """Findings as they come; `root` is where the runs are kept, `tell` hears what is being measured."""
    from cockpit.bench.disk import disk
    from cockpit.bench.screen import NoScreenError, screen

    tell("the disk of the runs")
    yield disk(root)
    tell("the screen: a run begins in the background")
    try:
        yield screen()
    except NoScreenError as error:
        yield Finding("screen", "", str(error), "unknown")
    tell("torch is being loaded")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the host of a run has it
    yield from computing(tell)


def computing(tell: Tell) -> Iterator[Finding]:
    """The device, the loop, the data path."""
    from cockpit.bench.data import decoding, resident
    from cockpit.bench.device import bandwidth, device_finding, peaks
    from cockpit.bench.loop import cases, loop
    from cockpit.bench.waiting import waits
    from cockpit.engine.device import pick_device

    device = pick_device("auto")
    tell(f"arithmetic and memory of {device}")
    found = peaks(device)
    yield device_finding(device, found, bandwidth(device))
    takes, chosen = 0.0, cases(found["fp32"])
    with TemporaryDirectory(prefix="cockpit_bench_") as folder:
        for case in chosen:
            tell(f"the loop: {case.name}")
            seen = loop(case, found, Path(folder))
            takes = seen.figures["plain_steps_s"] * case.batch
            yield seen
        if device.type == "cuda":
            tell("waits for the device")
            yield waits(chosen[0], Path(folder))
    tell("the data path")
    kept = resident(chosen[-1], takes)
    yield kept
    yield decoding(takes, kept.figures["images_s"])
