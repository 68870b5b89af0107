"""Classifiers of torchvision, as it builds them, without weights."""

from typing import Any

from torch import nn

from cockpit.nets.libraries import Stem, near, one_channel, said_of, small_stem, tried
from cockpit.travel import Task

AUXILIARY = ("googlenet", "inception_v3")


def from_torchvision(which: str, stem: Stem, task: Task) -> nn.Module:
    """The network. ValueError where it is no classifier of one output, or cannot take the images.

    Images of one channel go through a first convolution that takes them as if that channel were there three times.
    """
    from torchvision import models

    name = f"torchvision:{which[:60]}"
    known = [each for each in models.list_models(module=models) if each not in AUXILIARY]
    if which in AUXILIARY:
        raise ValueError(f"{name} answers with three sets of logits in training, and the loop takes one; take another network")
    if which not in known:
        other = "is no classifier" if which in models.list_models() else "is not there"
        raise ValueError(f"{name} {other}; {near(which, known)}")
    net = _created(name, which, task)
    if task.channels == 1:
        with said_of(name):
            one_channel(net)
    if stem == "small":
        small_stem(net, name)
    return tried(net, task, name)


def _created(name: str, which: str, task: Task) -> nn.Module:
    """The vision transformers must be told the size of the images; the others do not know the word."""
    from torchvision import models

    common: dict[str, Any] = {"weights": None, "num_classes": task.classes}
    with said_of(f"{name} cannot be built"):
        try:
            net: nn.Module = models.get_model(which, **common, image_size=task.height)
        except TypeError as error:
            if "image_size" not in str(error):
                raise
            net = models.get_model(which, **common)
    return net
