"""No trick makes the host wait for the device in a step: each alone in a small recipe, on a device that writes waits down.

What only a GPU can show stands in test_gpu.py.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
from far_device import FAR, FarDevice
from test_catalogue import CHOICE, CNN, RESNET, TOGGLES, choose, earlier

from cockpit.cards import Card
from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine import assemble as assembling
from cockpit.engine.data.load import load
from cockpit.engine.loop import advance
from cockpit.recipe import loads

__all__ = ["earlier"]
STEPS = ("data.limit=64", "train.batch_size=12", "train.epochs=4", "train.probe_every=1")
QUICK = {
    "resnet": (RESNET,),
    "lbfgs": ("optimizer.iterations=1",),
    "page9": ("data={source: synthetic, size: 16, channels: 1, train: 200, test: 20}",),
}
POLICY = "the library changes images one by one on the CPU"
MUST = {
    "guard": "it holds a step back by the size of its gradient, before the optimizer moves",
    "gd": "a step is an epoch, and its sampler reads the labels on the host",
    "lbfgs": "its line search goes by the loss of each trial",
    "optimizer.timm": "the library's own code",
    **dict.fromkeys(("auto_augment", "rand_augment", "trivial_augment", "aug_mix"), POLICY),
}
"""What cannot do without, and why."""


@pytest.fixture(scope="module", autouse=True)
def far() -> Iterator[FarDevice]:
    """Images are read once; the device is one that writes waits down."""
    torch.set_num_threads(1)
    autocast, device = torch.autocast, FarDevice()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembling, "load", cache(load))
        patch.setattr(assembling, "pick_device", lambda wanted: FAR)
        patch.setattr(torch, "autocast", lambda kind, *a, **k: autocast("cpu" if kind == FAR.type else kind, *a, **k))
        yield device


def waits_of(far: FarDevice, *edits: str) -> list[str]:
    """Where the host waits in the third and fourth step."""
    with far:
        job, _ = assembling.assemble(loads(CNN, edits=[*edits, *STEPS]), Places(root=data_root()))
        job.model.train()
        steps = itertools.chain.from_iterable(job.rest_of_epoch() for _ in range(4))
        for places in itertools.islice(steps, 2):
            advance(job, places)
        with far.noting() as waits:
            for places in itertools.islice(steps, 2):
                advance(job, places)
    return sorted(set(waits))


def of(card: Card, earlier: str) -> tuple[str, ...]:
    return (*QUICK.get(card.name, ()), *choose(card, earlier)) if card.name != "resnet" else QUICK["resnet"]


def exempt(card: Card) -> bool:
    return card.name in MUST or f"{card.family}.{card.name}" in MUST


@pytest.mark.parametrize("card", [*TOGGLES, *CHOICE])
def test_a_step_waits_for_nothing(card: Card, far: FarDevice, earlier: str):
    waits = waits_of(far, *of(card, earlier))
    assert bool(waits) == exempt(card), waits or "it waits no more: take it off the list"


VARIANTS = [
    pytest.param(card, knob.name, value, id=f"{card.family}.{card.name}.{knob.name}={value}")
    for card in (param.values[0] for param in (*TOGGLES, *CHOICE))
    if card.family not in ("data", "model", "score") and not exempt(card)
    for knob in card.knobs
    for value in (knob.choices or ((True, False) if knob.type == "bool" else ()))
    if value not in (knob.default, "pattern") and card.seams
]


@pytest.mark.parametrize(("card", "knob", "value"), VARIANTS)
def test_nor_with_another_choice_of_a_knob(card: Card, knob: str, value: object, far: FarDevice, earlier: str):
    where = f"tricks.{card.name}" if card.kind == "toggle" else card.family
    said = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
    assert not waits_of(far, *of(card, earlier), f"{where}.{knob}={said}")


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: x[x > 0],
        lambda x: x[torch.tensor([0, 1])],
        lambda x: (x > 0).nonzero(),
        lambda x: torch.where(x > 0),
        lambda x: x + torch.ones(4).to(x.device),
        lambda x: x * torch.tensor([1.0, 2.0, 3.0, 4.0], device=x.device),
        lambda x: x.copy_(torch.ones(4)),
        lambda x: x.long().bincount(),
    ],
)
def test_what_waits_on_a_gpu_is_seen(ask: Callable[[torch.Tensor], object], far: FarDevice):
    with far:
        x = torch.ones(4).to(FAR)
        with far.noting() as waits:
            ask(x)
    assert waits


def test_what_does_not_wait_is_not(far: FarDevice):
    with far:
        x = torch.ones(4).to(FAR)
        with far.noting() as waits:
            y = x + torch.ones(4).to(x.device, non_blocking=True) * torch.arange(4, device=x.device)
            torch.where(y > 2, y, 0.0).index_select(0, torch.ones(2, dtype=torch.int64).to(FAR, non_blocking=True)).sum()
    assert not waits and y.near.tolist() == [1, 2, 3, 4]


def test_the_device_of_the_test_computes_what_the_cpu_computes(far: FarDevice, monkeypatch: pytest.MonkeyPatch):
    def losses() -> list[float]:
        edits = ("tricks.random_crop=on", "tricks.mixup=on", "tricks.weight_ema=on", *STEPS)
        job, _ = assembling.assemble(loads(CNN, edits=edits), Places(root=data_root()))
        job.model.train()
        return [float(advance(job, places).loss) for places in job.rest_of_epoch()]

    with far:
        there = losses()
    monkeypatch.setattr(assembling, "pick_device", lambda wanted: torch.device("cpu"))
    assert losses() == there
