"""What networks of a library need before they take small images: other first layers, and sentences for what cannot be."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from cockpit.nets.outputs import answer, check_output
from cockpit.nets.places import stem_of
from cockpit.travel import Task

Stem = Literal["own", "small"]
"""The first layers as the library builds them; or one 3x3 convolution at stride 1, and no pooling."""
LARGEST_STEM = 7
"""A first convolution with a larger kernel cuts patches."""
POOLS = ("maxpool", "pool0", "pool")


@contextmanager
def said_of(what: str, hint: str = "") -> Iterator[None]:
    """Around a call into the library: whatever its layers raise becomes a ValueError of one sentence."""
    try:
        yield
    except Exception as error:
        words = " ".join(str(error).split()[:30]) or type(error).__name__
        raise ValueError(f"{what}: {words}{hint}") from error


def near(name: str, known: Iterable[str]) -> str:
    """The names most like one that is not there."""
    found = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"the nearest are {', '.join(found)}" if found else "none is named like it"


def tried(net: nn.Module, task: Task, name: str, hint: str = "") -> nn.Module:
    """The network, if it turns two images into logits. ValueError where it does not."""
    with said_of(f"{name} cannot take {task.height}x{task.width} images", hint):
        output = answer(net, task)
    check_output(output, task, name)
    return net


def small_stem(net: nn.Module, name: str) -> None:
    """Put a 3x3 convolution at stride 1 in place of the first one, and nothing in place of the pooling that follows it.

    ValueError where the network does not begin with a convolution at stride 2.
    """
    place = stem_of(net)
    old = place.layer
    if not isinstance(old, nn.Conv2d) or old.stride != (2, 2) or max(old.kernel_size) > LARGEST_STEM:
        raise ValueError(f"stem: {name} does not begin with a convolution at stride 2; leave stem at own")
    new = nn.Conv2d(old.in_channels, old.out_channels, 3, padding=1, bias=old.bias is not None)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    place.put(net, new)
    for leaf, pool in [*net.named_modules()]:
        owner, _, last = leaf.rpartition(".")
        if last in POOLS and isinstance(pool, nn.MaxPool2d):
            net.get_submodule(owner).register_module(last, nn.Identity())
            return


@torch.no_grad()
def one_channel(net: nn.Module) -> None:
    """Let the first convolution take one channel as it would take that channel three times. ValueError where it is none."""
    place = stem_of(net)
    old = place.layer
    if not isinstance(old, nn.Conv2d) or old.groups != 1:
        raise ValueError("its first layer is no plain convolution, and images of one channel need one")
    padding = old.padding if isinstance(old.padding, str) else (old.padding[0], old.padding[1])
    size, stride = (old.kernel_size[0], old.kernel_size[1]), (old.stride[0], old.stride[1])
    new = nn.Conv2d(1, old.out_channels, size, stride, padding, bias=old.bias is not None)
    new.weight.copy_(old.weight.sum(dim=1, keepdim=True))
    if new.bias is not None and old.bias is not None:
        new.bias.copy_(old.bias)
    place.put(net, new)
