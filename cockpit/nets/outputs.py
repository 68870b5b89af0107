"""Whether a network from elsewhere answers as the task asks."""

from typing import Any

import torch
from torch import nn

from cockpit.travel import Task


@torch.no_grad()
def answer(net: nn.Module, task: Task) -> Any:
    """What two images of zeros become in evaluation mode, as the network would be scored."""
    training = net.training
    output = net.eval()(torch.zeros(2, task.channels, task.height, task.width))
    net.train(training)
    return output


def check_output(output: Any, task: Task, name: str) -> None:
    """ValueError where two images became something else than two rows of logits."""
    shape = tuple(getattr(output, "shape", ()))
    if shape != (2, task.classes):
        said = f"shape {shape}" if shape else type(output).__name__
        raise ValueError(f"{name} turns 2 images into {said}; for {task.classes} classes it must be {(2, task.classes)}")
