"""Where the images of a run wait until they are wanted: on the device as bytes, in this machine's memory, or in their files."""

import numpy as np
import torch
from torch import Tensor

from cockpit.datasets.listed import Listed
from cockpit.engine.data.load import Loaded, Split
from cockpit.engine.feed import Feed
from cockpit.engine.hosted import Hosted
from cockpit.engine.streaming import Stream

SHARE = 0.25
"""Of a GPU's free memory that images may fill; the network and its activations want the rest."""


def housed(split: Split, loaded: Loaded, keep: str, device: torch.device) -> tuple[Tensor, Stream | None]:
    """The pixels of a split on the device, or none of them and a stream."""
    if isinstance(split, Listed):
        return _nothing(split, torch.uint8, device), Stream(split, device)
    if keep == "host" or (keep == "auto" and not _fits(loaded, device)):
        hosted = Hosted(split.pixels)
        return _nothing(hosted, torch.from_numpy(split.pixels[:0]).dtype, device), Stream(hosted, device)
    return torch.from_numpy(np.ascontiguousarray(split.pixels)).to(device), None


def _nothing(images: Listed | Hosted, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.empty((0, *images.shape), dtype=dtype, device=device)


def _fits(loaded: Loaded, device: torch.device) -> bool:
    """Whether training and validation images leave the device enough room; on the CPU they lie in its memory already."""
    if device.type != "cuda":
        return True
    return loaded.train.size + loaded.val.size <= SHARE * torch.cuda.mem_get_info(device)[0]


def words(train: Feed, val: Feed) -> str:
    """Where the images wait, for the screen."""
    if train.stream:
        return f"streamed {train.stream.images.words}"
    size = sum(feed.pixels.numel() * feed.pixels.element_size() for feed in (train, val)) / 1e6
    return f"{'in memory' if train.pixels.device.type == 'cpu' else 'on the device'}, {size:,.3g} MB"
