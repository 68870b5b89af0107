"""Everything that can be known before the first step: `cockpit check`."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cockpit.datasets.base import DataError, Places
from cockpit.datasets.places import data_root
from cockpit.engine.advice import advice, needed, shared_images
from cockpit.engine.assemble import AssemblyError, assemble, started
from cockpit.engine.checks import CHECKS, Found
from cockpit.engine.device import DeviceError
from cockpit.engine.evaluation import measure_start
from cockpit.engine.memory import TooLargeError
from cockpit.engine.words import told
from cockpit.judge import Judge
from cockpit.nets.count import Count, count
from cockpit.recipe import Recipe, cautions, to_tree
from cockpit.runs import events as ev
from cockpit.runs.history import History


class CheckError(Exception):
    """The recipe reads well and cannot be built; the text is one sentence."""


@dataclass(frozen=True)
class Report:
    """What the check found."""

    started: ev.Started
    measured: ev.Measured
    findings: tuple[ev.Flagged, ...]
    notes: tuple[str, ...]
    size: Count
    memory: int
    """Bytes that a training step takes, about."""
    more: tuple[Found, ...] = ()
    """The checks that were asked for by name."""

    def plain(self) -> dict[str, Any]:
        """JSON data."""
        facts = self.started
        return {
            "ok": math.isfinite(self.measured.loss)
            and not any(found.severity == "critical" for found in self.findings)
            and all(found.ok for found in self.more),
            "data": dataclasses.asdict(facts.data),
            "device": facts.device,
            "precision": facts.precision,
            "params": facts.params,
            "trainable": self.size.trainable,
            "flop": self.size.flop,
            "activation_bytes": self.size.activations,
            "memory_bytes": self.memory,
            "layers": len(facts.layers),
            "steps_per_epoch": facts.steps_per_epoch,
            "total_steps": facts.total_steps,
            "plan": facts.plan,
            "initial_loss": self.measured.loss if math.isfinite(self.measured.loss) else None,
            "expected_loss": self.measured.expected_loss if math.isfinite(self.measured.expected_loss) else None,
            "initial_accuracy": self.measured.accuracy,
            "inputs": dataclasses.asdict(self.measured.inputs) if self.measured.inputs else None,
            "flags": [{"id": f.id, "severity": f.severity, "headline": f.headline} for f in self.findings],
            "notes": list(self.notes),
            "checks": [found.plain() for found in self.more],
        }

    def _against(self) -> str:
        """What the first loss is measured against, where there is something."""
        expected = self.measured.expected_loss
        return f", equal logits give {expected:.3f}" if math.isfinite(expected) else ""

    def _inputs(self) -> list[str]:
        """What enters the network."""
        seen = self.measured.inputs
        return [f"input     {seen.low:.3g} to {seen.high:.3g}, mean {seen.mean:.2g}, std {seen.std:.2g}"] if seen else []

    def lines(self) -> list[str]:
        """Text."""
        facts, data, seen = self.started, self.started.data, self.measured
        shape = f"{data.height}x{data.width}x{data.channels}, {len(data.classes)} classes"
        lines = [
            f"data      {data.source} · {shape} · train {data.train:,} · val {data.val:,} · test {data.test:,} sealed",
            f"model     {facts.params:,} parameters in {len(facts.layers)} layers · {facts.device} {facts.precision}",
            f"forward   {self.size.flop / 1e6:,.3g} MFLOP and {self.size.activations / 1e3:,.3g} kB of activations an image",
            f"memory    about {self.memory / 2**20:,.3g} MiB for a step of {facts.batch_size} images",
            f"training  {facts.epochs} epochs of {facts.steps_per_epoch:,} steps = {facts.total_steps:,} steps",
            *(f"{seam:<9} {' -> '.join(names)}" for seam, names in facts.plan.items()),
            *self._inputs(),
            f"at start  loss {seen.loss:.3f}{self._against()} · accuracy {seen.accuracy:.1%}",
            *(f"note      {note}" for note in self.notes),
            *(f"{found.severity:<9} {found.id}: {found.headline}" for found in self.findings),
        ]
        for check in self.more:
            lines += [f"{check.name}: {check.headline}", *(f"  {line}" for line in check.lines)]
        return [*lines, "ready to train" if self.plain()["ok"] else "not ready: see above"]


def preflight(recipe: Recipe, *, allow_code: bool = False, wanted: Sequence[str] = ()) -> Report:
    """Build everything and look once, without training; `wanted` names checks that take longer. Raises CheckError."""
    try:
        job, loaded = assemble(recipe, Places(root=data_root()), allow_code=allow_code)
        begun = started(job, loaded)
        measured, layers = measure_start(job)
        size = count(job.model, job.task)
        more = tuple(CHECKS[name](job) for name in wanted)
    except (AssemblyError, DataError, DeviceError, TooLargeError) as error:
        raise CheckError(str(error)) from error
    except (Exception, SystemExit) as error:
        if not recipe.model.runs_code:
            raise  # a fault of ours, not of the user's network
        raise CheckError(f"model: {told(error)}") from error
    history = History(started=begun, measured=measured, recipe=to_tree(recipe), layers=layers)
    findings = Judge(recipe.flags.values(), history).start()
    return Report(
        begun,
        measured,
        tuple(f for f in findings if isinstance(f, ev.Flagged)),
        (*loaded.notes, *cautions(recipe), *job.wiring.notes, *advice(job), *shared_images(begun.data)),
        size,
        needed(size, job),
        more,
    )
