"""Networks of timm, as it builds them, with weights from a file where one is named. Nothing is ever downloaded."""

import pickle
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cockpit.nets.libraries import Stem, near, said_of, small_stem, tried
from cockpit.runs.archive import ArchiveError, inspect
from cockpit.travel import Task


@dataclass(frozen=True)
class Wanted:
    """A network of timm."""

    which: str
    stem: Stem = "own"
    drop_path: float = 0.0
    drop: float = 0.0
    img_size: int | None = None
    pretrained: str | None = None

    @property
    def name(self) -> str:
        """As a recipe may write it."""
        return f"timm:{self.which[:60]}"


class Resized(nn.Module):
    """A network behind a bilinear resize."""

    def __init__(self, net: nn.Module, side: int) -> None:
        super().__init__()
        self.net = net
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        size = (self.side, self.side)
        out: Tensor = self.net(functional.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False))
        return out


def from_timm(wanted: Wanted, task: Task) -> nn.Module:
    """The network. ValueError where the name or the file is not there, or the network cannot do with the images or knobs."""
    _named(wanted)
    net = _loaded(wanted, task) if wanted.pretrained else _created(wanted, task)
    if wanted.stem == "small":
        small_stem(net, wanted.name)
    if wanted.img_size:
        return tried(Resized(net, wanted.img_size), task, wanted.name)
    return tried(net, task, wanted.name, f"; img_size: {_card(net)['input_size'][-1]} resizes them to what it was made for")


def statistics(which: str, channels: int) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation that its published weights expect, float (1, C, 1, 1); averaged for one channel."""
    import timm

    card = timm.get_pretrained_cfg(which)
    assert card is not None, "the network was built"
    both = (torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) for values in (card.mean, card.std))
    mean, std = (values if values.shape[1] == channels else values.mean().expand(1, channels, 1, 1) for values in both)
    return mean, std


def _named(wanted: Wanted) -> None:
    import timm

    known = timm.list_models()
    if wanted.which.partition(".")[0] not in known:
        raise ValueError(f"timm has no network {wanted.which[:60]!r}; {near(wanted.which, known)}")


def _card(net: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {"input_size": (3, 224, 224), **(getattr(net, "pretrained_cfg", None) or {})}
    return found


def _created(wanted: Wanted, task: Task, **more: Any) -> nn.Module:
    import timm

    rates = {"drop_path_rate": wanted.drop_path, "drop_rate": wanted.drop}
    knobs: dict[str, Any] = {key: rate for key, rate in rates.items() if rate}
    side = (wanted.img_size, wanted.img_size) if wanted.img_size else (task.height, task.width)
    common = {"in_chans": task.channels, "num_classes": task.classes, **knobs, **more}
    with said_of(f"{wanted.name} cannot be built"), warnings.catch_warnings(action="ignore"):
        try:
            net: nn.Module = timm.create_model(wanted.which, **common, img_size=side)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            net = timm.create_model(wanted.which, **common)
    return net


def _loaded(wanted: Wanted, task: Task) -> nn.Module:
    """With the weights of the file; a head for another number of classes stays as it started."""
    if wanted.stem == "small":
        raise ValueError(
            "stem: small puts a new first layer in, and pretrained has weights for the own one; choose one of the two"
        )
    path = Path(str(wanted.pretrained)).expanduser()
    held = _weights(path)
    start = torch.get_rng_state()
    net = _created(wanted, task, pretrained=True, pretrained_cfg_overlay={"state_dict": held, "custom_load": False})
    after = torch.get_rng_state()
    torch.set_rng_state(start)
    fresh = dict(_created(wanted, task).named_parameters())
    torch.set_rng_state(after)
    getattr(net, "pretrained_cfg", {}).pop("state_dict", None)
    heads = _card(net).get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    missing = [
        name
        for name, weight in net.named_parameters()
        if weight.dim() > 1 and not name.startswith(heads) and torch.equal(weight, fresh[name])
    ]
    if missing:
        raise ValueError(f"pretrained: {path.name} has no weights for {', '.join(missing[:3])} of {wanted.name}")
    return net


def _check(path: Path) -> None:
    """Raise ValueError for an archive that is none of torch's; older files of weights, and safetensors, are no archives."""
    try:
        if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
            inspect(path)
    except ArchiveError as error:
        raise ValueError(f"pretrained: {path.name} {error}") from error


def _weights(path: Path) -> dict[str, Tensor]:
    from timm.models import load_state_dict

    try:
        there = path.is_file()
    except OSError as error:  # too long, or in a folder that is closed to us
        raise ValueError(f"pretrained: {str(path)[:200]} cannot be read: {error.strerror}") from error
    if not there:
        raise ValueError(f"pretrained: there is no file {path}; weights are read from a file and never downloaded")
    _check(path)
    with said_of(f"pretrained: {path.name} is no file of weights"), warnings.catch_warnings(action="ignore"):
        try:
            held: dict[str, Tensor] = load_state_dict(str(path), weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            if not isinstance(error.__cause__ or error, pickle.UnpicklingError):
                raise
            # What torch and timm say tells how to let the code run.
            raise ValueError("it holds more than weights and was not loaded") from error
    return held
