"""Explicit ensembling: the outputs of several networks combined, beside those of each (Hansen & Salamon 1990;
Lakshminarayanan et al. 2017, arXiv 1612.01474).

Members may be of any structure. Each keeps its own standardisation and test-time tricks; all must see the same validation
images and name the same classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from cockpit.catalog import family
from cockpit.engine.feed import Feed
from cockpit.engine.reopen import Reopened
from cockpit.runs.directory import RunDir

Combine = Literal["probabilities", "logits", "vote"]
TINY = 1e-38
"""What a probability of 0 counts as where its log is taken."""


SEEN = 1024
"""Images that prove two validation sets to be one: those of a stream are not all at hand."""


class AcrossError(Exception):
    """Runs that cannot be put together; the text is one sentence."""


@dataclass(frozen=True)
class Voice:
    """One member on validation."""

    run: RunDir
    label: str
    """The run's id, and the epoch where it is one of those kept."""
    probabilities: Tensor
    """float (N, K)."""
    labels: Tensor
    """int64 (N,)."""
    split: str
    """Hash of the validation images and labels in their order."""
    classes: tuple[str, ...]
    params: int


@dataclass(frozen=True)
class Row:
    """A line of the report."""

    name: str
    accuracy: float
    log_loss: float
    ece: float
    params: int


@dataclass(frozen=True)
class Report:
    """Members, their mean, and the ensemble, on validation."""

    members: tuple[Row, ...]
    mean: Row
    ensemble: Row
    weights: tuple[float, ...]
    disagreement: float
    """Mean over pairs of members of the share of images that they answer differently."""
    images: int


def voice(member: Reopened) -> Voice:
    """Ask one network about the validation images."""
    seen = member.validate()
    return Voice(
        run=member.run,
        label=member.label,
        probabilities=member.job.recipe.loss.probabilities(seen.logits),
        labels=seen.labels,
        split=_fingerprint(member.job.val),
        classes=member.loaded.classes,
        params=sum(weight.numel() for weight in member.job.model.parameters()),
    )


def _fingerprint(split: Feed) -> str:
    """A hash of every label and of images spread over the split: the same wherever the images lie."""
    places = torch.arange(0, len(split), max(1, len(split) // SEEN), device=split.labels.device)[:SEEN]
    values = (split.take(places).x, split.labels)
    return hashlib.blake2b(b"".join(value.cpu().numpy().tobytes() for value in values), digest_size=16).hexdigest()


def check(voices: Sequence[Voice]) -> None:
    """Raise AcrossError where members cannot be compared."""
    first = voices[0]
    for other in voices[1:]:
        names = f"{first.label} and {other.label}"
        if other.classes != first.classes:
            raise AcrossError(f"runs {names} do not name the same classes in the same order")
        if other.split != first.split:
            raise AcrossError(
                f"runs {names} have different validation images, so one may have trained on the other's; "
                "give both the same data, data.val and data.split_seed"
            )


def combined(voices: Sequence[Voice], combine: Combine, weights: Sequence[float]) -> Tensor:
    """Probabilities (N, K) of the ensemble. Ties of a vote go to the larger mean probability.

    `logits` are the logs of what each member's own loss makes of its logits: those of different losses have other scales.
    """
    share = torch.tensor(weights, dtype=torch.float64).view(-1, 1, 1)
    probabilities = torch.stack([one.probabilities.double() for one in voices])
    if combine == "logits":
        return (share * probabilities.clamp(min=TINY).log()).sum(0).softmax(1)
    mean = (share * probabilities).sum(0)
    if combine == "probabilities":
        return mean
    votes = torch.nn.functional.one_hot(probabilities.argmax(2), probabilities.shape[2]).double()
    tally = (share * votes).sum(0) + 1e-6 * mean
    return tally / tally.sum(1, keepdim=True)


def fitted(voices: Sequence[Voice], most: int = 5000) -> tuple[float, ...]:
    """Weights that minimise the log loss of the mixture on validation, by expectation maximisation (they sum to 1)."""
    right = torch.stack([one.probabilities.double().gather(1, one.labels[:, None])[:, 0] for one in voices])
    weights = torch.full((len(voices), 1), 1 / len(voices), dtype=torch.float64)
    for _ in range(most):
        blamed = weights * right.clamp(min=1e-12)
        before, weights = weights, (blamed / blamed.sum(0)).mean(1, keepdim=True)
        if (weights - before).abs().max() < 1e-8:
            break
    return tuple(weights[:, 0].tolist())


def ensemble(voices: Sequence[Voice], combine: Combine = "probabilities", *, fit: bool = False) -> Report:
    """Score members and ensemble. Raises AcrossError where they cannot be compared."""
    check(voices)
    weights = fitted(voices) if fit else (1 / len(voices),) * len(voices)
    labels = voices[0].labels
    rows = [_row(f"{one.run.name} {one.label}", one.probabilities, labels, one.params) for one in voices]
    params = sum(row.params for row in rows)
    together = _row("ensemble", combined(voices, combine, weights), labels, params)
    accuracy, log_loss, ece = (sum(values) / len(rows) for values in zip(*map(_numbers, rows), strict=True))
    mean = Row("mean member", accuracy, log_loss, ece, params // len(rows))
    guesses = [one.probabilities.argmax(1) for one in voices]
    apart = [float((one != two).double().mean()) for one, two in combinations(guesses, 2)]
    return Report(tuple(rows), mean, together, weights, sum(apart) / max(1, len(apart)), len(labels))


def _numbers(row: Row) -> tuple[float, float, float]:
    return row.accuracy, row.log_loss, row.ece


def _row(name: str, probabilities: Tensor, labels: Tensor, params: int) -> Row:
    accuracy, log_loss, ece = (
        family("score")[each].cls().measure(probabilities, labels) for each in ("accuracy", "log_loss", "ece")
    )
    return Row(name, accuracy, log_loss, ece, params)
