"""Networks that a library brings ready-made."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Init, Model
from cockpit.travel import Task
from cockpit.tricks.models.start import started

if TYPE_CHECKING:
    from torch import nn

OWN_WEIGHTS = "how the weights start; torch_default leaves them as the library made them"
STEM = "the first layers as the library builds them; or one 3x3 convolution at stride 1 and no pooling, for small images"


def brings_its_own(model: Model) -> None:
    """ValueError where the recipe asks for an activation or a norm that a ready-made network would not take."""
    from cockpit.catalog import family
    from cockpit.recipe.members import default

    name = model.card.name
    for part in ("activation", "norm"):
        usual = default(family(part)[model.card.knob(part).default])
        if getattr(model, part) != usual:
            raise ValueError(f"{part}: the networks of {name} bring their own; leave it at {usual.card.name}")


@card(
    "timm",
    when="A known architecture is to be tried, or its published weights lie in a file.",
    beware="Nearly all are made for 224 pixels: their stems divide the image by 4, and stem small undoes that where it can. "
    "activation and norm are not applied. Weights have a licence, and were trained on images that may be in your test set.",
    source="Wightman 2019, PyTorch image models",
    seams=("dataset",),
)
class Timm(Model):
    """A network of timm by its name, as in `model: timm:resnet18`.

    With weights from a file, images are standardised by the mean and deviation that go with them, and the head starts anew
    unless the file has one for as many classes. Nothing is ever downloaded.
    """

    init: Init = knob("torch_default", help=OWN_WEIGHTS)
    which: str = knob("resnet10t", help="its name in timm.list_models()")
    stem: Literal["own", "small"] = knob("own", help=STEM)
    drop_path: float = knob(0.0, low=0, high=0.8, help="rate of stochastic depth in the last block, where the network has it")
    drop: float = knob(0.0, low=0, high=0.9, help="dropout before the head, where the network has it")
    img_size: int | None = knob(None, low=8, high=1024, help="resize the images to squares of this side; none: as they are")
    pretrained: str | None = knob(None, help="file of weights, safetensors or a torch file; none: random ones")

    def __post_init__(self) -> None:
        brings_its_own(self)
        if self.pretrained and not self.init.as_built:
            raise ValueError("init would overwrite the pretrained weights; leave it at torch_default")

    def build(self, task: Task) -> nn.Module:
        """ValueError where the name or the file is not there, or the network cannot do with the images or the knobs."""
        from cockpit.nets.from_timm import Wanted, from_timm

        knobs = (self.which, self.stem, self.drop_path, self.drop, self.img_size, self.pretrained)
        return started(from_timm(Wanted(*knobs), task), self)

    @property
    def stands(self) -> tuple[str, ...]:
        """Nowhere, unless published weights bring their own mean and deviation."""
        return self.card.seams if self.pretrained else ()

    def dataset(self, images: Any) -> Any:
        """Standardise as the published weights expect."""
        from cockpit.nets.from_timm import statistics

        mean, std = (values.to(images.mean.device) for values in statistics(self.which, images.mean.shape[1]))
        return dataclasses.replace(images, mean=mean, std=std)


@card(
    "torchvision",
    when="A known architecture is to be tried as torchvision builds it.",
    beware="Made for 224 pixels: most divide the image by 32, and stem small helps where it can. activation and norm are not "
    "applied. Images of one channel are taken as if they were grey in colour.",
    source="TorchVision maintainers 2016, torchvision.models",
)
class Torchvision(Model):
    """A classifier of torchvision by its name, as in `model: torchvision:resnet18`."""

    init: Init = knob("torch_default", help=OWN_WEIGHTS)
    which: str = knob("resnet18", help="its name in torchvision.models.list_models()")
    stem: Literal["own", "small"] = knob("own", help=STEM)

    def __post_init__(self) -> None:
        brings_its_own(self)

    def build(self, task: Task) -> nn.Module:
        """ValueError where it is no classifier of one output, or cannot take the images."""
        from cockpit.nets.from_torchvision import from_torchvision

        return started(from_torchvision(self.which, self.stem, task), self)
