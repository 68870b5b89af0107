"""Our columns, and the plain loop they are set against."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cockpit.bench.cases import Case
from looping.worker import Column, Gate, drive


def torch_as_users_have_it() -> None:
    import cockpit.bench.loops  # noqa: F401


def torch_as_the_host_has_it() -> None:
    """The host sets this before it imports torch."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    torch_as_users_have_it()


def plain(case: Case, gate: Gate, _: Path, **how: bool) -> None:
    from cockpit.bench import loops

    job, _ = loops.built(case)
    drive(loops.plain(job, **how), gate)


def bare(case: Case, gate: Gate, _: Path) -> None:
    from cockpit.bench import loops

    job, _ = loops.built(case)
    drive(loops.ours(job), gate)


def hosted(case: Case, gate: Gate, folder: Path) -> None:
    """A run as `cockpit train` flies it: mailbox, heartbeat, machine log, record, flags; its evaluations take no time here."""
    from unittest.mock import patch

    from cockpit.engine import loop
    from cockpit.engine.training import Training
    from cockpit.host.host import Host
    from cockpit.launch import new_run

    evaluate, batches = loop.evaluate, Training.rest_of_epoch

    def untimed(*args: object) -> object:
        with gate.aside():
            return evaluate(*args)

    def gated(job: Training) -> Iterator[object]:
        for places in batches(job):
            gate.step()
            yield places

    run = new_run(case.recipe(), folder, "bench", allow_code=False, command=[])
    gate.facts["run"] = str(run.path)
    with patch.object(loop, "evaluate", untimed), patch.object(Training, "rest_of_epoch", gated):
        Host(run, say=lambda text: None).run()


COLUMNS = {
    "plain": Column(torch_as_users_have_it, plain),
    "plain again": Column(torch_as_users_have_it, plain),
    "plain, fused": Column(torch_as_users_have_it, partial(plain, fused=True)),
    "plain, lean": Column(torch_as_users_have_it, partial(plain, fused=True, lean=True)),
    "ours bare": Column(torch_as_the_host_has_it, bare),
    "ours": Column(torch_as_the_host_has_it, hosted),
    "ours + screen": Column(torch_as_the_host_has_it, hosted),
    "ours + screen, as torch waits": Column(torch_as_users_have_it, hosted),
}
