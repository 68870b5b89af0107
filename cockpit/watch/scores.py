"""Scores of outputs: of the watcher's own passes, and of what a loop hands over."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from cockpit.engine.facts import outputs_of, recalls_of
from cockpit.runs.facts import Outputs
from cockpit.watch.answers import Answers, answers_of
from cockpit.watch.losses import IGNORED, Loss

ROWS = 8192
"""Rows of which the outputs are described: tokens and pixels are many."""

Answered = tuple[Tensor, Tensor | None]
"""Outputs of the network and their targets."""


@dataclass(frozen=True)
class Scored:
    """Means over some examples; NaN where the targets do not tell."""

    loss: float = math.nan
    accuracy: float = math.nan
    examples: int = 0
    largest_class_share: float = math.nan
    recalls: tuple[float, ...] = ()
    outputs: Outputs | None = None


@torch.no_grad()
def scored(parts: Iterable[Answered], loss: Loss, *, classed: bool) -> Scored:
    """Score outputs. Waits for the device."""
    losses, rows, truths, examples = [], [], [], 0
    for outputs, targets in parts:
        answers = answers_of(outputs, targets, loss.takes, classed=classed)
        losses.append((loss.mean(outputs, targets, answers), len(outputs)))
        examples += len(outputs)
        if answers is not None:
            rows.append(answers.rows)
            truths.append(answers.truth)
    mean = sum(value * size for value, size in losses) / examples if examples else math.nan
    if not rows:
        return Scored(mean, examples=examples)
    every = Answers(torch.cat(rows), _whole(truths), None, answers_threshold(loss), True)
    shown = outputs_of(every.rows[:ROWS]) if len(every.rows) else None
    accuracy, share, recalls = _judged(every)
    return Scored(mean, accuracy, examples, share, recalls, shown)


def answers_threshold(loss: Loss) -> float:
    """Of one output, above which it means the second class."""
    return 0.5 if loss.takes in ("probabilities", "values") else 0.0


def _whole(truths: list[Tensor | None]) -> Tensor | None:
    known = [truth for truth in truths if truth is not None]
    return torch.cat(known) if len(known) == len(truths) else None


def _judged(answers: Answers) -> tuple[float, float, tuple[float, ...]]:
    """Accuracy, the share of the most predicted class, and recalls."""
    if answers.truth is None:
        return math.nan, math.nan, ()
    asked = answers.truth != IGNORED
    guess, truth = answers.guess[asked].cpu(), answers.truth[asked].cpu()
    if not len(truth):
        return math.nan, math.nan, ()
    known = (truth >= 0) & (truth < answers.classes)
    largest = int(torch.bincount(guess, minlength=answers.classes).max())
    recalls = recalls_of(guess[known], truth[known], answers.classes)
    return float((guess == truth).double().mean()), largest / len(guess), recalls
