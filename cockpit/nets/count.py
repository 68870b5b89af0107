"""The size of a network in numbers: weights, arithmetic, memory."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cockpit.travel import Task


class Count(NamedTuple):
    """Of one network; the last two are for one image, forward only."""

    parameters: int
    trainable: int
    flop: int
    """Multiplications and additions of convolutions, matrix products and attention: twice what is called MAC."""
    activations: int
    """Bytes that the outputs of the layers take."""


def count(model: nn.Module, task: Task) -> Count:
    """Pass one image of zeros in evaluation mode; the network is left as it was."""
    weights = list(model.parameters())
    modes = {module: module.training for module in model.modules()}
    held: list[int] = []

    def hold(_: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor) and not any(_same_memory(output, each) for each in inputs):
            held.append(output.numel() * output.element_size())

    leaves = [module for module in modes if not any(module.children())]
    handles = [module.register_forward_hook(hold) for module in leaves]
    place = weights[0] if weights else torch.zeros(())
    image = torch.zeros(1, task.channels, task.height, task.width, device=place.device, dtype=place.dtype)
    counter = FlopCounterMode(display=False)
    try:
        # attention in plain matrix products, and with gradients: fused kernels are not counted
        with torch.enable_grad(), counter, sdpa_kernel(SDPBackend.MATH):
            model.eval()(image)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    return Count(
        parameters=sum(weight.numel() for weight in weights),
        trainable=sum(weight.numel() for weight in weights if weight.requires_grad),
        flop=counter.get_total_flops(),
        activations=sum(held),
    )


def _same_memory(one: Tensor, other: object) -> bool:
    """Whether a layer handed on what it was given."""
    return isinstance(other, Tensor) and one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
