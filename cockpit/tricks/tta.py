"""Test-time augmentation: the answer to an image is the mean of the answers to several views of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

View = Callable[["Tensor"], "Tensor"]
"""Standardised images (B, C, H, W) -> the same images, seen otherwise."""

CROSS = ((0, 1), (0, -1), (1, 0), (-1, 0))
DIAGONAL = ((1, 1), (1, -1), (-1, 1), (-1, -1))
MOVES: Mapping[str, tuple[tuple[int, int], ...]] = {"flip": (), "shift": CROSS, "flip_shift": CROSS, "five_crop": DIAGONAL}
"""Where the moved views stand, in units of `shift`: right, down."""
ZOOM = 0.9
"""Least share of the side that a random view shows."""


def shown(net: nn.Module, look: Callable[[nn.Module, Tensor], Tensor]) -> nn.Module:
    """A network that answers images by look(net, images), and is `net` in all else.

    Its weights have the names that they have in `net`, so a checkpoint of it loads into the plain network, and its layers
    too, so that whoever watches them finds them.
    """
    from torch import nn

    class Shown(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net
            self.training = net.training

        def forward(self, x: Tensor) -> Tensor:
            return look(self.net, x)

        def named_modules(self, *args: Any, **settings: Any) -> Iterator[tuple[str, nn.Module]]:
            yield from self.net.named_modules(*args, **settings)

        def get_submodule(self, target: str) -> nn.Module:
            return self.net.get_submodule(target)

        def state_dict(self, *args: Any, **settings: Any) -> Any:
            return self.net.state_dict(*args, **settings)

        def load_state_dict(self, *args: Any, **settings: Any) -> Any:
            return self.net.load_state_dict(*args, **settings)

    return Shown()


def same(x: Tensor) -> Tensor:
    """The plain view."""
    return x


def mirrored(view: View, x: Tensor) -> Tensor:
    """The mirror image of a view."""
    return view(x).flip(3)


def moved(right: int, down: int, x: Tensor) -> Tensor:
    """The part of x (B, C, H, W) that begins so many pixels right of and below its corner; border pixels are repeated."""
    import torch

    rows = (torch.arange(x.shape[2], device=x.device) + down).clamp(0, x.shape[2] - 1)
    columns = (torch.arange(x.shape[3], device=x.device) + right).clamp(0, x.shape[3] - 1)
    return x.index_select(2, rows).index_select(3, columns)


def part(share: float, right: float, down: float, x: Tensor) -> Tensor:
    """The part of x (B, C, H, W) that is `share` of its sides, so many pixels right of and below its middle, enlarged."""
    from torch.nn import functional

    height, width = x.shape[2:]
    maps = x.new_tensor([[share, 0, 2 * right / width], [0, share, 2 * down / height]])
    grid = functional.affine_grid(maps.expand(len(x), -1, -1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _moves(settings: Tta) -> Iterator[View]:
    for right, down in MOVES[settings.views]:
        yield partial(moved, settings.shift * right, settings.shift * down)


def _random_parts(settings: Tta) -> Iterator[View]:
    import torch

    draws = torch.rand(settings.n - 1, 3, generator=torch.Generator().manual_seed(0))  # the same views in every run
    for share, right, down in draws.tolist():
        yield partial(part, ZOOM + (1 - ZOOM) * share, settings.shift * (2 * right - 1), settings.shift * (2 * down - 1))


class Views:
    """The views of one kind of images, the plain one first, and what each counts."""

    def __init__(self, settings: Tta, mirrors: bool) -> None:
        self._average_of = settings.average
        others = list(_random_parts(settings) if settings.views == "augment" else _moves(settings))
        plain = len(others) if others and settings.weights == "identity_half" else 1
        self._views = [(plain, same), *((1, view) for view in others)]
        if mirrors and settings.views in ("flip", "flip_shift"):
            self._views += [(weight, partial(mirrored, view)) for weight, view in self._views]

    def evaluate(self, model: nn.Module) -> nn.Module:
        """A network that looks at every view."""
        return shown(model, self._average)

    def _average(self, net: nn.Module, x: Tensor) -> Tensor:
        import torch

        answers = torch.stack([net(view(x)).float() for _, view in self._views])
        shares = torch.tensor([weight for weight, _ in self._views], device=x.device).view(-1, 1, 1)
        shares = shares / shares.sum()
        if self._average_of == "logits":
            return (answers * shares).sum(0)
        return (answers.log_softmax(2) + shares.log()).logsumexp(0)


@card(
    "tta",
    family="augmentation",
    seams=("evaluate",),
    stage="views",
    live=True,
    aliases=("test_time_augmentation",),
    when="A little accuracy for free training time: every score then costs as many passes as there are views.",
    beware="A setting of the score, so it must be the same for all runs compared; the plain score is kept beside it. "
    "Mirrored views only where data.mirror allows them. Probabilities are those of softmax, whatever the loss.",
    cautions={"no_mirror": "mirrored views are of another class and left out; with views: flip nothing is left"},
    source="Krizhevsky et al. 2012; Jordan 2024, arXiv 2404.00498",
)
class Tta(Toggle):
    """Score the mean answer to several views of each image.

    flip is the image and its mirror image. shift is the image and four moved left, right, up and down; flip_shift has the
    mirror images of these too. five_crop is the image and four moved to its corners. augment is the image and n - 1 random
    parts of it, the same for every image and every run. What moves in at a border repeats the border.
    """

    views: Literal["flip", "shift", "flip_shift", "five_crop", "augment"] = knob("flip", help="what is looked at")
    shift: int = knob(1, low=1, high=4, help="how far a view is moved, in pixels")
    n: int = knob(4, low=2, high=32, help="views of augment, the plain one included")
    average: Literal["logits", "probabilities"] = knob("logits", help="what is averaged")
    weights: Literal["uniform", "identity_half"] = knob(
        "uniform", help="all views count the same, or the unmoved ones as much as all moved ones together"
    )

    def plug(self, parts: Parts) -> Views:
        """The views that these images allow."""
        return Views(self, parts.task.mirrors)
