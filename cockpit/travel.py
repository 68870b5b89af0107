"""What travels along the seams of the loop, and what a trick may see of the training.

The annotations name torch types for the reader and the checker only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Criterion = Callable[[Tensor, Tensor], Tensor]
    """(logits (B, K), target) -> a scalar mean."""
    Forward = Callable[[Tensor], Tensor]
    """Standardised images (B, C, H, W) -> logits (B, K) in fp32: the network in training, at the run's precision."""
    Again = Callable[[], Tensor]
    """Repeat the step's forward and backward pass where the weights now stand: same images, same random draws, norm layers'
    running statistics left alone. Returns the loss; the gradients are in the weights."""
    Step = Callable[[Again], None]
    """Turn the gradients into an update of the weights."""
    Objective = Callable[["Batch", "Moment"], "Outcome"]
    """The forward pass and the loss of one batch."""


class Task(NamedTuple):
    """What a network must do: images of this shape in, that many logits out."""

    channels: int
    height: int
    width: int
    classes: int
    mirrors: bool = True
    """A mirrored image is still of its class."""


class Clock(NamedTuple):
    """Where a step stands in the planned run; all a schedule may know."""

    step: int
    """Optimizer steps done before this one, from 0."""
    total: int
    """Planned steps."""
    steps_per_epoch: int
    """Of the first epoch; of every one, unless a trick changes them."""
    epochs: float | None = None
    """Epochs done, where they are not all equally long."""

    @property
    def epoch(self) -> float:
        """Epochs done, as a fraction."""
        return self.step / max(1, self.steps_per_epoch) if self.epochs is None else self.epochs


class Batch(NamedTuple):
    """What travels along the batch seam."""

    x: Tensor
    """float (B, C, H, W): in [0, 1] before the standardise stage, standardised after it."""
    y: Tensor
    """int64 (B,) class indices, or float (B, classes) once a trick made soft targets."""
    ids: Tensor
    """int64 (B,): each image's place in the training split."""


class Moment(NamedTuple):
    """The step a trick is called at, and the source of its random numbers."""

    clock: Clock
    task: Task
    stream: Callable[[str], torch.Generator]
    """A CPU generator for the named trick at this step, seeded by (seed, name, step): switching one trick on never shifts
    the draws of another, a resumed run draws what it would have drawn, and every device sees the same draws."""
    batch_size: int
    """Images in the first optimizer step of the run."""

    def part(self, number: int) -> Moment:
        """The same moment for one of the parts of a large batch: each has draws of its own."""
        return self._replace(stream=lambda name: self.stream(f"{name}#{number}")) if number else self


class Epoch(NamedTuple):
    """The epoch whose batches are drawn; all that a sampler may know."""

    number: int
    """From 0."""
    labels: Tensor
    """int64 (N,) of the training split, on the CPU."""
    batch_size: int
    stream: Callable[[str], torch.Generator]
    """A CPU generator for the named trick in this epoch."""


class Outcome(NamedTuple):
    """What travels along the objective seam: the forward pass of one batch."""

    loss: Tensor
    """Scalar, to be minimised."""
    logits: Tensor
    """(B, K), which the shown training accuracy is read from."""


class TrainImages(Protocol):
    """The training split as tricks may see it."""

    @property
    def labels(self) -> Tensor:
        """int64 (N,), on the device."""

    @property
    def mean(self) -> Tensor:
        """float (1, C, 1, 1), of the training split, in [0, 1]."""

    @property
    def std(self) -> Tensor:
        """float (1, C, 1, 1)."""

    def __len__(self) -> int: ...

    def take(self, ids: Tensor) -> Batch:
        """The images of these places, in [0, 1], as a copy. `ids`: int64 on the device."""

    def standardise(self, batch: Batch) -> Batch:
        """Subtract the mean and divide by the standard deviation, per channel."""


@dataclass(frozen=True)
class Parts:
    """What a trick may see of the training when it is plugged in."""

    model: nn.Module
    """The network, with what the tricks plugged in before made of it."""
    task: Task
    train: TrainImages
    total_steps: int
    steps_per_epoch: int
    stream: Callable[[str], torch.Generator]
    """A CPU generator for the named trick, the same at every call."""


class Gradients(NamedTuple):
    """What travels along the grads seam."""

    tensors: list[Tensor]
    """One for each trained parameter, unscaled; a trick may change them in place."""
    norm: Tensor | None
    """Their total norm before any clipping, where something measured it."""
    scaled: bool = False
    """The loss was scaled for fp16: gradients that overflow are the scaler's to skip."""


@dataclass(frozen=True)
class Verdict:
    """What an evaluation leads to; tricks on the verdict seam replace it."""

    improved: bool
    """This evaluation is the best so far."""
    val_loss: float
    """Of the weights that were scored."""
    evaluations: int
    """Evaluations so far, this one included."""
    stop: str = ""
    """Why the run should end here; empty to go on."""
    keep_best: bool = False
    """At the end of the run, whatever ends it, put the best weights back."""


class Setback(Exception):  # noqa: N818  (it ends no run)
    """A trick asks, out of a step, for the last healthy checkpoint and a pause there; the text says why, as one clause."""
