"""One network for several images at once: M first layers whose outputs are added, a shared core, M heads.

Havasi et al. 2021, arXiv 2010.06610; Ramé et al. 2021, arXiv 2103.06132.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cockpit.nets.places import head_of, stem_of
from cockpit.travel import Task


class Stems(nn.Module):
    """A first layer for each input; what comes after them sees one sum."""

    mask: Tensor | None

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.register_buffer("mask", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, M C, ...), the inputs side by side, to (B, outputs, ...): the sum, or with a mask m twice m y0 + (1 - m) y1."""
        seen = [layer(part) for layer, part in zip(self.layers, x.chunk(len(self.layers), dim=1), strict=True)]
        if self.mask is None:
            return torch.stack(seen).sum(dim=0)
        first, second = seen
        mixed: Tensor = 2 * (self.mask * first + (1 - self.mask) * second)
        return mixed


class MultiInput(nn.Module):
    """A network made to take M images at once, in place.

    In training it takes M groups of images, stacked along the batch, and answers for each image by the head of its group.
    In evaluation every image is all of its M inputs, and the softmax of the answer is the mean of the heads' softmaxes.

    ValueError where the network has no first layer, no head, or one layer that is both.
    """

    def __init__(self, net: nn.Module, inputs: int, stream: torch.Generator) -> None:
        super().__init__()
        stem, head = stem_of(net), head_of(net)
        if not all(weight.requires_grad for weight in stem.layer.parameters()):
            raise ValueError("the first layer of this network is fixed, so it cannot be one of several")
        if stem.layer is head.layer:
            raise ValueError("the first layer of this network is also its last, so the images would share nothing but a sum")
        self.inputs = inputs
        self.stems = Stems([stem.layer, *(_shuffled_twin(stem.layer, stream) for _ in range(inputs - 1))])
        stem.put(net, self.stems)
        _add_heads(head.layer, inputs, stream)
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Training: (M B, C, H, W) to (M B, K), grouped by input. Evaluation: (B, C, H, W) to (B, K)."""
        if not self.training:
            return ensembled(self.net(x.repeat(1, self.inputs, 1, 1)).unflatten(1, (self.inputs, -1)))
        side_by_side = x.unflatten(0, (self.inputs, -1)).transpose(0, 1).flatten(1, 2)
        answers: Tensor = self.net(side_by_side).unflatten(1, (self.inputs, -1))
        return answers.transpose(0, 1).flatten(0, 1)


def ensembled(logits: Tensor) -> Tensor:
    """(B, M, K) of M heads to (B, K): logits of the mean of their softmaxes, at the mean height of theirs.

    The height leaves the softmax alone and makes equal heads answer as one of them would.
    """
    together = logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(logits.shape[1])
    return together + logits.logsumexp(dim=2).mean(dim=1, keepdim=True)


def try_out(net: nn.Module, inputs: int, task: Task, stream: torch.Generator) -> tuple[int, ...]:
    """Convert a copy and show it two images. Returns height and width of what its stems see, nothing where they see no map.

    ValueError where the network cannot be converted.
    """
    device = next(net.parameters()).device
    trial = MultiInput(copy.deepcopy(net), inputs, stream).eval()
    sizes: list[tuple[int, ...]] = []
    trial.stems.register_forward_hook(lambda *seen: sizes.append(tuple(seen[2].shape[2:])))
    try:
        with torch.no_grad():
            answer = trial(torch.zeros(2, task.channels, task.height, task.width, device=device))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{_refusal(inputs)}: {str(error).splitlines()[0]}") from error
    if answer.shape != (2, task.classes) or len(sizes) != 1:
        raise ValueError(_refusal(inputs))
    return sizes[0]


def _refusal(inputs: int) -> str:
    return f"this network cannot have {inputs} first layers and heads; small_cnn, resnet and vit can"


@torch.no_grad()
def _shuffled_twin(layer: nn.Module, stream: torch.Generator) -> nn.Module:
    """Another layer with the same numbers in another order: a fresh draw from whatever the initialisation was."""
    twin = copy.deepcopy(layer)
    for weight in twin.parameters():
        weight.copy_(_shuffled(weight, stream))
    return twin


def _shuffled(weight: Tensor, stream: torch.Generator) -> Tensor:
    order = torch.randperm(weight.numel(), generator=stream).to(weight.device)
    return weight.detach().flatten()[order].view(weight.shape)


def _add_heads(head: nn.Module, count: int, stream: torch.Generator) -> None:
    """Make a linear layer that many, in place, so that what hangs on it goes on hanging there."""
    assert isinstance(head, nn.Linear)
    head.weight = nn.Parameter(torch.cat([head.weight.detach(), *(_shuffled(head.weight, stream) for _ in range(count - 1))]))
    if head.bias is not None:
        head.bias = nn.Parameter(torch.cat([head.bias.detach(), *(_shuffled(head.bias, stream) for _ in range(count - 1))]))
    head.out_features *= count
