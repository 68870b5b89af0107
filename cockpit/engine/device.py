"""Which device and which precision, and what they need around a step."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from cockpit.engine.distributed_place import place


class DeviceError(Exception):
    """A device or precision that this machine does not have; the text is one sentence."""


def pick_device(wanted: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu. Raises DeviceError for one that is not there.

    With several processes on a machine, each takes a GPU of its own, unless the recipe names one.
    """
    if place().size > 1 and wanted in ("auto", "cuda"):
        wanted = _own_gpu() if torch.cuda.is_available() else wanted.replace("auto", "cpu")
    if wanted == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(name)
    try:
        device = torch.device(wanted)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError("a device without numbers, or one that was never tried")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"train.device: {wanted!r} cannot be used here; `auto` takes what is there") from error
    return device


def _own_gpu() -> str:
    number, there = place().local, torch.cuda.device_count()
    if number >= there:
        more = f"torchrun started process {number + 1} on this machine"
        raise DeviceError(f"train.device: {more}, which has {there} GPUs; --nproc-per-node takes at most {there}")
    torch.cuda.set_device(number)
    return f"cuda:{number}"


@dataclass(frozen=True)
class Precision:
    """The number format of the forward pass, and the loss scaler that fp16 needs."""

    name: str
    device: torch.device
    scaler: torch.amp.GradScaler

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        if self.name in ("fp32", "tf32"):
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16 if self.name == "bf16" else torch.float16)


def pick_precision(wanted: str, device: torch.device) -> Precision:
    """`auto` takes bf16 on a CUDA device that has it in hardware, else fp32."""
    if wanted == "auto":
        fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        wanted = "bf16" if fast else "fp32"
    torch.set_float32_matmul_precision("high" if wanted == "tf32" else "highest")
    return Precision(wanted, device, torch.amp.GradScaler(device.type, enabled=wanted == "fp16"))
