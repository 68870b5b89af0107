"""Where random numbers come from: one seed for the run, and streams that depend on nothing but (seed, name, step)."""

import hashlib
import random
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and torch; building the network and torch's own dropout draw from these."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def stream(seed: int, name: str, step: int) -> torch.Generator:
    """A CPU generator that gives the same draws for the same (seed, name, step), whatever else is switched on."""
    digest = hashlib.blake2b(f"{seed}/{name}/{step}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def apart(device: torch.device) -> AbstractContextManager[None]:
    """Draws inside move no generator outside: torch's own, on the CPU and on this device, and not on every GPU there is."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def state() -> dict[str, Any]:
    """Every global generator, in types that load with weights_only."""
    version, words, gauss = random.getstate()
    name, keys, at, has_gauss, cached = np.random.get_state()
    assert isinstance(keys, np.ndarray)
    saved: dict[str, Any] = {
        "python": [version, torch.tensor(words), gauss],  # as one thing: 600 numbers take the reader milliseconds
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), int(at), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        saved["cuda"] = torch.cuda.get_rng_state_all()
    return saved


def restore(saved: dict[str, Any]) -> None:
    """Put every global generator back."""
    version, words, gauss = saved["python"]
    random.setstate((version, tuple(torch.as_tensor(words).tolist()), gauss))  # older checkpoints have a list
    name, keys, at, has_gauss, cached = saved["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), at, has_gauss, cached))
    torch.set_rng_state(saved["torch"])
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["cuda"])
