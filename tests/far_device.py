"""A device that is none: its tensors lie here and say that they lie elsewhere, and every wait for them is written down.

On CUDA a host that asks for a number, for the places where a mask holds, or for a copy that is not `non_blocking` waits until
the device has done all that it was given. Here the tensors of the "device" say that they are on `meta`, keep their numbers in
CPU memory, and compute as ever, so that a whole training runs; what would wait goes into `FarDevice.waits`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

FAR = torch.device("meta")
aten = torch.ops.aten
ASKS = {
    aten._local_scalar_dense,
    aten.equal,
    aten.is_nonzero,
    aten.nonzero,
    aten.masked_select,
    aten.bincount,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten._linalg_check_errors,
    aten._linalg_eigh,
    aten._linalg_svd,
}
"""What gives the host a number, or a shape that hangs on numbers."""
INDEXES = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}


class Far(Tensor):
    """A tensor that says it lies on `meta`; its numbers are in `near`."""

    near: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, near: Tensor) -> Far:
        made: Far = torch.Tensor._make_wrapper_subclass(
            cls, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, device=FAR, requires_grad=False
        )
        made.near = near.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return FarDevice.running.__torch_dispatch__(func, types, args, kwargs)


class _Written(TorchFunctionMode):
    """`torch.tensor([...], device=...)` never comes to a dispatch mode."""

    def __init__(self, far: FarDevice) -> None:
        super().__init__()
        self._far = far

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == FAR:
            self._far.note("numbers of the host, copied")
            return Far(func(*args, **{**kwargs, "device": "cpu"}))
        if func is Tensor.new_tensor and isinstance(args[0], Far):
            self._far.note("numbers of the host, copied")
            return Far(torch.tensor(*args[1:], dtype=args[0].dtype))
        if func in (Tensor.tolist, Tensor.numpy) and isinstance(args[0], Far):
            self._far.note("numbers of the device, copied")
            return func(args[0].near, *args[1:], **kwargs)
        return func(*args, **kwargs)


class FarDevice(TorchDispatchMode):
    """Everything inside knows the far device. `waits`: where in our code the host would have waited, and for what."""

    running: FarDevice

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._noting = False
        self._written = _Written(self)
        FarDevice.running = self

    def __enter__(self) -> FarDevice:
        self._written.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        super().__exit__(*why)
        self._written.__exit__(*why)

    @contextmanager
    def noting(self) -> Iterator[list[str]]:
        """Write the waits down from here on."""
        self.waits.clear()
        self._noting = True
        try:
            yield self.waits
        finally:
            self._noting = False

    def note(self, what: str) -> None:
        """Who waits: the innermost line of the project."""
        if not self._noting:
            return
        ours = [frame for frame in traceback.extract_stack() if "/cockpit/" in frame.filename]
        where = f"{ours[-1].filename.rpartition('/cockpit/')[2]}:{ours[-1].name}" if ours else "elsewhere"
        self.waits.append(f"{where} {what}")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        leaves = tree_leaves((args, kwargs))
        given = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        far = [isinstance(leaf, Far) for leaf in given]
        wanted = kwargs.get("device")
        lands_far = (torch.device(wanted) == FAR) if wanted is not None else any(far)
        self._judge(func, args, kwargs, given, far, lands_far)
        if lands_far and wanted is not None:
            kwargs["device"] = torch.device("cpu")
        kwargs.pop("pin_memory", None)
        near_args, near_kwargs = tree_map(lambda leaf: leaf.near if isinstance(leaf, Far) else leaf, (args, kwargs))
        out = func(*near_args, **near_kwargs)
        if func.overloadpacket is aten._to_copy and lands_far and not any(far) and out is near_args[0]:
            out = out.clone()
        if not lands_far:
            return out
        known = {id(leaf.near): leaf for leaf in given if isinstance(leaf, Far)}
        return tree_map(
            lambda leaf: (known[id(leaf)] if id(leaf) in known else Far(leaf)) if isinstance(leaf, Tensor) else leaf, out
        )

    def _judge(self, func: Any, args: Any, kwargs: Any, given: list[Tensor], far: list[bool], lands_far: bool) -> None:
        packet = func.overloadpacket
        if packet in ASKS and any(far):
            self.note(str(packet))
        elif packet in (aten._to_copy, aten.copy_) and far:
            crosses = far[0] != (lands_far if packet is aten._to_copy else far[-1])
            if crosses and not (kwargs.get("non_blocking") or (len(args) > 2 and args[2])):
                self.note("a copy that is not non_blocking")
        elif packet in INDEXES and far[0]:
            places = [leaf for leaf in tree_leaves(args[1]) if isinstance(leaf, Tensor)]
            if any(not isinstance(place, Far) and place.ndim for place in places):
                self.note("places that lie on the host")
            if any(place.dtype in (torch.bool, torch.uint8) for place in places):
                self.note("places of a mask")
