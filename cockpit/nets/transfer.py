"""From one network to the next: the weights of another run, what a head reads, and heads that start anew."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from cockpit.nets.past import past
from cockpit.nets.places import head_of
from cockpit.recipe import Recipe
from cockpit.travel import Task, TrainImages

HEAD_STD = 0.01
"""Spread of the weights of a head that starts anew: the first answers are nearly those of one that knows nothing."""
CHUNK = 256
"""Images shown at once."""


@dataclass(frozen=True)
class Source:
    """The weights of another run. Unlike `nets.finished`, it needs no network to put them in."""

    state: Mapping[str, Tensor]
    recipe: Recipe
    size: tuple[int, int]
    """Height and width of its images."""
    mean: Tensor
    """float (1, C, 1, 1): what its images were standardised by, in [0, 1]."""
    std: Tensor


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """Short hash of weights and their names."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(state.items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def source(wanted: str, which: str) -> Source:
    """The `best` or `last` weights of a run, named by its directory, id or name. ValueError where there are none."""
    found = past(wanted)
    facts = found.facts  # first: a run that never began has no checkpoint either, and that says less
    return Source(found.state(which), found.recipe, (facts.height, facts.width), found.mean, found.std)


class Match(NamedTuple):
    """How another network's weights fit into one."""

    loaded: frozenset[str]
    missing: tuple[str, ...]
    """Names of this network that the other does not have, or has in another shape."""
    unexpected: tuple[str, ...]
    """Names of the other that this network has no place for."""
    share: float
    """Numbers loaded, as a share of those that might have been."""


@torch.no_grad()
def put_in(model: nn.Module, state: Mapping[str, Tensor], *, skip: frozenset[str] = frozenset()) -> Match:
    """Copy each weight and statistic whose name and shape fit into a network; those named in `skip` stay as they are."""
    own = model.state_dict()
    fits = {name for name, value in state.items() if name in own and own[name].shape == value.shape} - skip
    for name in fits:
        own[name].copy_(state[name])
    wanted = sum(value.numel() for name, value in own.items() if name not in skip)
    return Match(
        loaded=frozenset(fits),
        missing=tuple(name for name in own if name not in fits | skip),
        unexpected=tuple(name for name in state if name not in fits | skip),
        share=sum(own[name].numel() for name in fits) / max(1, wanted),
    )


def fitted(state: Mapping[str, Tensor], size: tuple[int, int], model: nn.Module, task: Task) -> Mapping[str, Tensor]:
    """Weights for images of another size: the positions of a vision transformer's patches are resampled to its new grid."""
    patches, position = getattr(model, "patches", None), state.get("position")
    if not isinstance(patches, nn.Conv2d) or position is None:
        return state
    rows, columns = patches.stride[0], patches.stride[1]
    old, new = (size[0] // rows, size[1] // columns), (task.height // rows, task.width // columns)
    return {**state, "position": resample(position, old, new)}


def resample(position: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Position embeddings (1, extra + rows * columns, dim) for another grid of patches, those of extra tokens as they are."""
    extra = position.shape[1] - old[0] * old[1]
    if old == new or extra < 0:
        return position
    maps = position[:, extra:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(maps, size=new, mode="bicubic", antialias=True)
    return torch.cat([position[:, :extra], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def start_head(head: nn.Linear, stream: Generator) -> None:
    """Let a linear head start anew: small weights, no bias."""
    weight = nn.init.trunc_normal_(torch.empty(head.weight.shape), std=HEAD_STD, generator=stream)
    with torch.no_grad():
        head.weight.copy_(weight)
        if head.bias is not None:
            head.bias.zero_()


def fresh_head(old: nn.Linear, stream: Generator) -> nn.Linear:
    """A head of the same size with weights of its own."""
    head = nn.utils.skip_init(nn.Linear, old.in_features, old.out_features, device=old.weight.device)
    assert isinstance(head, nn.Linear)
    start_head(head, stream)
    return head


class Standardise(nn.Module):
    """Subtract a fixed mean from features (B, D) and divide by a fixed standard deviation."""

    def __init__(self, seen: Tensor) -> None:
        """`seen`: (N, D) features that the statistics are taken from; one that is constant is only centred."""
        super().__init__()
        std, mean = torch.std_mean(seen, dim=0, correction=0)
        self.register_buffer("mean", mean)
        self.register_buffer("std", torch.where(std > 1e-6, std, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        return (x - self.get_buffer("mean")) / self.get_buffer("std")


@torch.no_grad()
def features(model: nn.Module, train: TrainImages, places: Tensor) -> Tensor:
    """What the head reads of clean training images, (N, D), in evaluation mode; the mode is put back."""
    read: list[Tensor] = []
    head = head_of(model).layer
    handle = head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].float()))
    mode = model.training
    model.eval()
    try:
        for part in places.to(train.labels.device).split(CHUNK):
            model(train.standardise(train.take(part)).x)
    finally:
        model.train(mode)
        handle.remove()
    return torch.cat(read)


def each_class(labels: Tensor, classes: int, images: int, stream: Generator) -> Tensor:
    """Places of about so many images, drawn at random, as many of each class as it has up to an equal share."""
    order = torch.randperm(len(labels), generator=stream)
    share, drawn = max(1, images // classes), labels.cpu()[order]
    return torch.cat([order[drawn == number][:share] for number in range(classes)])


@torch.no_grad()
def nearest_mean_head(model: nn.Module, train: TrainImages, places: Tensor) -> None:
    """Make the linear head answer with the nearest class mean of its features, taken over these training images.

    Its logits are 2 f.m - |m|^2 = |f|^2 - |f - m|^2: negative squared distances, but for what all classes share. Their unit is
    the mean squared distance of an image to the mean of its own class.
    """
    head = head_of(model).layer
    assert isinstance(head, nn.Linear)
    seen, labels = features(model, train, places), train.labels[places.to(train.labels.device)]
    members = functional.one_hot(labels, len(head.weight)).float()
    means = members.T @ seen / members.sum(0).clamp(min=1)[:, None]
    unit = (seen - means[labels]).square().sum(1).mean().clamp(min=1e-12)
    head.weight.copy_(2 * means / unit)
    head.bias.copy_(-means.square().sum(1) / unit)
