"""A decoded recipe: frozen, typed, every default filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cockpit.cards import knob
from cockpit.diagnosis import Flag
from cockpit.families import Loss, Model, Optimizer, Schedule, Score, Source, Toggle
from cockpit.runs.notices import KINDS


@dataclass(frozen=True)
class Train:
    """How long and on what the training runs."""

    epochs: int = knob(10, low=1, high=100_000, help="passes over the training images")
    batch_size: int = knob(128, low=1, high=65_536, help="images in a step")
    device: str = knob("auto", help="auto, cpu, cuda, cuda:1, mps ...")
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = knob(
        "auto", help="auto takes bf16 where the GPU has it, else fp32; fp16 scales the loss"
    )
    channels_last: bool = knob(False, help="keep images and filters with the channel innermost: faster convolutions")
    compile: Literal["eager", "default", "reduce-overhead", "max-autotune"] = knob(
        "eager", help="compile the network with torch.compile; the first steps take long"
    )
    drop_last: bool = knob(True, help="drop the short last batch of an epoch")
    keep: int = knob(0, low=0, high=10_000, help="keep the scored weights of the last so many epochs, to average or ensemble")
    oom: Literal["fail", "halve"] = knob(
        "fail", help="where the device runs out of memory: fail, or halve what is computed at once and keep the batch"
    )
    checkpoint_minutes: float = knob(
        10.0, low=0.05, high=10_000, help="write a checkpoint to resume from when so many minutes have passed since the last"
    )
    probe_every: int = knob(10, low=1, high=10_000, help="steps between two measurements of gradients and updates")


@dataclass(frozen=True)
class Notify:
    """Where to send word of a run, and of what."""

    urls: tuple[str, ...] = knob((), help="apprise URLs, such as mailtos://... or discord://...; ${NAME} is the environment's")
    on: tuple[str, ...] = knob(
        ("warning", "paused", "ended"),
        choices=KINDS,
        help="of what: findings that are critical, or at warning and above; a pause by a flag or the guard; the end",
    )


@dataclass(frozen=True)
class Recipe:
    """All that a run needs to know; two equal recipes on one machine are the same run."""

    about: str
    seed: int
    data: Source
    model: Model
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    train: Train
    score: Score
    tricks: Mapping[str, Toggle]
    """The toggles that are on, by name."""
    flags: Mapping[str, Flag]
    """The flags that are not switched off, by name."""
    notify: Notify = Notify()
