"""The gradients of several processes added up while the backward pass still runs.

As DistributedDataParallel does (Li et al. 2020, arXiv 2006.15704): buckets in the order in which gradients appear, each sent
as soon as it is full. It is not that class, because tricks freeze weights between two steps, train weights that stand outside
of the network, pass a batch through it several times or not through all of it; this one asks the optimizer what is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from cockpit.engine.distributed import peers

BUCKET = 25 * 2**20
"""Bytes sent at a time."""


class Exchange:
    """`arm` before the last backward pass of a step, `finish` after it."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self._weights: list[Tensor] = []
        self._buckets: list[list[Tensor]] = []
        self._place: dict[Tensor, int] = {}
        self._hooks: list[Any] = []
        self._missing: list[int] = []
        self._sent: list[tuple[Tensor, Any]] = []
        self._armed = False

    def arm(self, groups: Sequence[dict[str, Any]]) -> None:
        """The next backward pass completes the gradients of the optimizer's groups."""
        weights = [weight for group in groups for weight in group["params"] if weight.requires_grad]
        if len(weights) != len(self._weights) or any(a is not b for a, b in zip(weights, self._weights, strict=True)):
            self._lay(weights)
        self._missing = [len(bucket) for bucket in self._buckets]
        self._sent.clear()
        self._armed = True

    @torch.no_grad()
    def finish(self, numbers: Tensor) -> Tensor:
        """Wait, on the device, for the sums; returns that of some numbers (n,) of this step as well."""
        self._armed = False
        with peers():
            while len(self._sent) < len(self._buckets):
                self._send()
            dist.all_reduce(numbers, group=self._group)
            for bucket, (flat, work) in zip(self._buckets, self._sent, strict=True):
                work.wait()
                pieces = flat.split([weight.numel() for weight in bucket])
                pairs = [(weight.grad, piece.view_as(weight)) for weight, piece in zip(bucket, pieces, strict=True)]
                own = [(grad, piece) for grad, piece in pairs if grad is not None]
                if own:
                    torch._foreach_copy_([grad for grad, _ in own], [piece for _, piece in own])
        self._sent.clear()
        return numbers

    def _lay(self, weights: list[Tensor]) -> None:
        """Buckets of one type each, the last weights first: their gradients come first."""
        for hook in self._hooks:
            hook.remove()
        self._weights, self._buckets, self._place = weights, [], {}
        room: dict[torch.dtype, tuple[int, int]] = {}
        for weight in reversed(weights):
            number, size = room.get(weight.dtype, (-1, BUCKET))
            if size >= BUCKET:
                number, size = len(self._buckets), 0
                self._buckets.append([])
            self._buckets[number].append(weight)
            self._place[weight] = number
            room[weight.dtype] = number, size + weight.numel() * weight.element_size()
        self._hooks = [weight.register_post_accumulate_grad_hook(self._ready) for weight in weights]

    def _ready(self, weight: Tensor) -> None:
        """A gradient is complete. Buckets leave in one order everywhere, whatever order they fill in."""
        if not self._armed:
            return
        self._missing[self._place[weight]] -= 1
        while len(self._sent) < len(self._buckets) and self._missing[len(self._sent)] == 0:
            self._send()

    @torch.no_grad()
    def _send(self) -> None:
        """A weight that this step did not use adds nothing."""
        bucket = self._buckets[len(self._sent)]
        flat = torch.cat(
            [(weight.grad if weight.grad is not None else torch.zeros_like(weight)).flatten() for weight in bucket]
        )
        self._sent.append((flat, dist.all_reduce(flat, group=self._group, async_op=True)))
