"""What `run.evaluate` records: the validation scores, and the clean probe beside them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from cockpit.runs import events as ev
from cockpit.runs.tables import LAYERS, Rows, blank
from cockpit.watch.clean import Clean
from cockpit.watch.opening import First, padded
from cockpit.watch.passes import logits_in, one_pass
from cockpit.watch.scores import Answered, Scored, scored
from cockpit.watch.settings import Settings


def answered(clean: Clean, settings: Settings, loader: Iterable[Any]) -> list[Answered]:
    """The network's answers to the batches of a loader, in evaluation mode and without gradients."""
    found: list[Answered] = []
    with clean.inside():
        settings.net.eval()
        for batch in loader:
            if isinstance(batch, Mapping):
                key = next((key for key in ("labels", "targets", "label", "target") if key in batch), "")
                inputs, targets = {name: value for name, value in batch.items() if name != key}, batch.get(key)
            else:
                inputs, targets = batch[0], batch[1]
            one = one_pass(inputs, targets, settings.device)
            outputs = logits_in(settings.net(*one.args, **one.kwargs))
            if outputs is not None and not outputs.is_complex():
                found.append((outputs.float(), one.targets))
    return found


def given(outputs: Any, targets: Tensor | None, clean: Clean, settings: Settings) -> list[Answered]:
    """What `run.evaluate` was handed, as outputs and targets. Raises TypeError."""
    if outputs is None:
        return []
    if isinstance(outputs, Tensor):
        if targets is None:
            raise TypeError("evaluate takes outputs and targets, or a loader")
        return [(outputs.detach().to(settings.device), targets.detach().to(settings.device))]
    return answered(clean, settings, outputs)


class Evaluator:
    """Scores the evaluations of a run and knows the best."""

    def __init__(self, settings: Settings, clean: Clean) -> None:
        self._settings = settings
        self._clean = clean
        self._best: tuple[float, float] | None = None
        self._count = 0

    def evaluate(
        self, first: First, parts: list[Answered], said: tuple[float, float], step: int, *, blind: bool
    ) -> tuple[ev.Evaluated, Rows]:
        """The event of an evaluation, and the rows of the units. `said`: (loss, accuracy) by the loop's own words."""
        began = time.perf_counter()
        classed = bool(self._settings.classes)
        val = scored(parts, first.loss, classed=classed) if parts else Scored(said[0], said[1])
        loss = said[0] if math.isnan(val.loss) else val.loss
        accuracy = said[1] if math.isnan(val.accuracy) else val.accuracy
        train, noisy, rows = self._probed(first, step)
        rank = (accuracy if accuracy == accuracy else 0.0, -loss)
        improved = loss == loss and (self._best is None or rank > self._best)
        self._best = rank if improved else self._best
        self._count += 1
        per_epoch = self._settings.steps_per_epoch
        event = ev.Evaluated(
            step=step,
            epoch=round(step / per_epoch) if per_epoch else self._count,
            train_loss=train.loss,
            train_accuracy=train.accuracy,
            val_loss=loss,
            val_accuracy=accuracy,
            probe_size=train.examples,
            val_size=val.examples,
            best=improved,
            seconds=time.perf_counter() - began,
            largest_class_share=val.largest_class_share,
            scores={"accuracy": accuracy} if accuracy == accuracy else {},
            recalls=val.recalls,
            outputs=train.outputs,
            train_mode_loss=noisy.loss,
            train_mode_accuracy=noisy.accuracy,
            in_training_mode=blind,
            said_accuracy=said[1],
        )
        return event, rows

    def _probed(self, first: First, step: int) -> tuple[Scored, Scored, Rows]:
        """The clean probe in evaluation mode and, where the mode matters, as training sees it."""
        if not self._clean.passes:
            return Scored(), Scored(), blank(0, LAYERS)
        classed = bool(self._settings.classes)
        clean, rows = self._clean.look("eval", step)
        noisy = self._clean.look("train", step)[0] if self._clean.noisy else []
        shaped = [[(padded(outputs, first), targets) for outputs, targets in each] for each in (clean, noisy)]
        train, moving = (scored(each, first.loss, classed=classed) if each else Scored() for each in shaped)
        return train, moving, rows
