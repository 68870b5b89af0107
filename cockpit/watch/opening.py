"""What is said of a watched loop before its first rows: `Started` and `Measured`, from one batch and the targets seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cockpit.engine.facts import early_norm, inputs_of
from cockpit.runs import events as ev
from cockpit.runs.facts import Inputs
from cockpit.watch.answers import Answers, answers_of
from cockpit.watch.losses import IGNORED, Loss, loss_of
from cockpit.watch.scores import Answered, Scored, answers_threshold, scored
from cockpit.watch.settings import UNTOLD, Settings


@dataclass(frozen=True)
class First:
    """What the first batch of a loop tells."""

    loss: Loss
    width: int
    """Outputs an example; 0 where none were handed over."""
    flat: bool
    """The outputs came without an axis of their own."""
    batch: int
    """Examples of an update; 0 where that is not known."""
    reported: float
    scored: Scored
    plain: bool = True
    """One class an example: not one a token or a pixel."""


UNKNOWN = First(Loss(), 0, False, 0, math.nan, Scored())
"""A loop of which nothing can be told."""


def first_of(settings: Settings, reported: float, outputs: Tensor | None, targets: Tensor | None) -> First:
    """What a loop is, from the first loss it reports. Waits for the device."""
    classed = bool(settings.classes)
    answers = answers_of(outputs, targets, classed=classed) if outputs is not None else None
    loss = loss_of(settings.criterion, reported, outputs, targets, answers)
    size = len(outputs) if outputs is not None and outputs.ndim else 0
    return First(
        loss=loss,
        width=answers.rows.shape[1] if answers else 0,
        flat=outputs is not None and outputs.ndim == 1,
        plain=answers is None or answers.plain,
        batch=size * settings.accumulate,
        reported=reported,
        scored=scored([(outputs, targets)], loss, classed=classed) if outputs is not None and answers else Scored(),
    )


@dataclass(frozen=True)
class Prior:
    """What is known of the labels before anything is learned."""

    counts: tuple[int, ...] = ()
    """Examples of each class; classes that the outputs cannot tell come after those that they can."""
    chance_loss: float = math.nan
    chance_accuracy: float = math.nan


@torch.no_grad()
def prior_of(targets: Sequence[Tensor], first: First, *, classed: bool) -> Prior:
    """Class counts, and what answering with the class shares earns. `targets`: of some batches, as the loop has them."""
    targets = targets if first.plain else [t.reshape(-1) for t in targets]
    outputs = [torch.zeros(len(t), *([] if first.flat else [first.width])) for t in targets] if first.width else []
    each = [answers_of(o, t.cpu(), first.loss.takes, classed=classed) for o, t in zip(outputs, targets, strict=False)]
    truths = [answers.truth for answers in each if answers and answers.truth is not None]
    if not truths:
        return Prior()
    truth = torch.cat(truths)
    truth = truth[truth != IGNORED]
    size = max(2, first.width)
    inside = truth[(truth >= 0) & (truth < size)]
    counts = torch.bincount(truth[truth >= 0].clamp(max=size + 1000), minlength=size).tolist()
    below = int((truth < 0).sum())
    shares = torch.bincount(inside, minlength=size).double() / max(len(inside), 1)
    chance = _constant(first, shares.float(), inside) if len(inside) else math.nan
    if first.loss.takes != "values":
        # The entropy of a sample is too small by about this much (Miller 1955).
        chance += (int((shares > 0).sum()) - 1) / (2 * max(len(inside), 1))
    return Prior((*counts, below) if below else tuple(counts), chance, float(shares.max()) if len(inside) else math.nan)


def equal_loss(first: First, targets: Tensor) -> float:
    """The loss of equal answers to everything; NaN where there is no such thing."""
    size = max(2, first.width)
    if first.loss.takes in ("values", ""):
        return math.nan
    return _constant(first, torch.full((size,), 0.5 if first.loss.name.startswith("bce") else 1 / size), targets)


def _constant(first: First, shares: Tensor, truth: Tensor) -> float:
    """The loss of giving every example the same class shares."""
    likely = shares.clamp(min=1e-6)
    one = first.width == 1
    match first.loss.takes:
        case "logits":
            answer = (likely[1] / likely[0]).log()[None] if one else likely.log()
        case "log_probabilities":
            answer = likely.log()
        case "probabilities" | "values":
            answer = shares[1:2] if one else shares
        case _:
            return math.nan
    rows = answer.expand(len(truth), -1)
    if first.loss.name == "bce_with_logits" and not one:
        rows = (likely / (1 - likely).clamp(min=1e-6)).log().expand(len(truth), -1)
    answers = Answers(rows, truth, None, answers_threshold(first.loss), True)
    return first.loss.mean(rows[:, 0] if first.flat else rows, truth, answers)


def floor_of(first: First) -> float:
    """The least cross-entropy that any answer can have under label smoothing."""
    doubt, size = first.loss.smoothing, max(2, first.width)
    if first.loss.name != "cross_entropy" or not doubt:
        return 0.0
    shares = torch.full((size,), doubt / size)
    shares[0] += 1 - doubt
    return float(torch.special.entr(shares).sum())


def started(settings: Settings, first: First, prior: Prior, x: Tensor | None) -> ev.Started:
    """The facts of the run."""
    net, groups = settings.net, settings.optimizer.param_groups
    per_epoch = settings.steps_per_epoch or UNTOLD
    return ev.Started(
        device=torch.cuda.get_device_name(settings.device) if settings.device.type == "cuda" else str(settings.device),
        precision=str(next(net.parameters()).dtype).removeprefix("torch."),
        params=sum(weight.numel() for weight in net.parameters()),
        layers=tuple(layer for layer, _ in settings.layers),
        data=_data(settings, first, prior, x),
        plan={},
        steps_per_epoch=per_epoch,
        total_steps=settings.total_steps,
        epochs=settings.epochs or settings.total_steps // per_epoch,
        batch_size=first.batch,
        probe_every=settings.every,
        chance_loss=prior.chance_loss,
        loss_floor=floor_of(first),
        chance_accuracy=prior.chance_accuracy,
        optimizer=type(settings.optimizer).__name__.lower(),
        weight_decay=max(float(group.get("weight_decay", 0.0)) for group in groups),
        criterion=first.loss.takes,
        frozen=tuple(name for name, weight in net.named_parameters() if not weight.requires_grad),
        accumulate=settings.accumulate,
        early_norm=early_norm(net),
    )


def _data(settings: Settings, first: First, prior: Prior, x: Tensor | None) -> ev.DataFacts:
    sizes = tuple(x.shape[1:4]) if x is not None else ()
    classes = max(2, first.width) if prior.counts or first.loss.takes not in ("values", "") else 0
    channels, height, width = (*sizes, *(1,) * (3 - len(sizes))) if sizes else (0, 0, 0)
    return ev.DataFacts(
        source="a loop of your own",
        classes=settings.classes or tuple(str(number) for number in range(classes)),
        channels=channels,
        height=height,
        width=width,
        train=settings.steps_per_epoch * first.batch,
        val=0,
        test=0,
        train_counts=prior.counts,
        val_counts=(),
        mean=(),
        std=(),
    )


def measured(settings: Settings, first: First, fresh: Sequence[Answered], x: Tensor | None) -> ev.Measured | None:
    """The fresh network: on the probe, else on the first batch; None where the loop hands over no outputs."""
    if not first.width:
        return None
    seen, known = first.scored, first.reported
    if fresh:
        seen = scored(fresh, first.loss, classed=bool(settings.classes))
        known = seen.loss * (max(1, first.batch // settings.accumulate) if first.loss.summed else 1)
    example = torch.zeros(seen.examples, dtype=torch.long)
    if fresh and all(targets is not None for _, targets in fresh):
        joined = torch.cat([targets.cpu().reshape(len(targets), -1) for _, targets in fresh if targets is not None])
        example = joined[:, 0].long().clamp(0, max(2, first.width) - 1)
    return ev.Measured(
        samples=seen.examples,
        loss=known,
        expected_loss=equal_loss(first, example),
        accuracy=seen.accuracy,
        inputs=entering(settings.net, x),
        outputs=seen.outputs,
    )


def entering(net: nn.Module, x: Tensor | None) -> Inputs | None:
    """Of the inputs; whole numbers that are looked up in a table say nothing, and complex ones are no amounts."""
    if (
        x is None
        or x.ndim < 2
        or x.is_complex()
        or (not x.is_floating_point() and any(isinstance(m, nn.Embedding) for m in net.modules()))
    ):
        return None
    return inputs_of(x)


def padded(outputs: Tensor, first: First) -> Tensor:
    """The outputs of a pass of our own, shaped as the loop hands them over."""
    return outputs[:, 0] if first.flat and outputs.ndim == 2 and outputs.shape[1] == 1 else outputs


def fits(outputs: Tensor | None, first: First) -> bool:
    """Whether what the network returns is what the loop hands over."""
    if outputs is None or not first.width:
        return outputs is not None
    return outputs.ndim == 1 or first.width in (outputs.shape[-1], outputs.shape[1])
