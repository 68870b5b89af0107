"""Batch norm over small groups of the batch: Hoffer et al. 2017, arXiv 1705.08741."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class GhostBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Each group of `ghost` images in training has its own statistics; evaluation is that of batch norm.

    The running statistics move once for each batch, towards the mean over the groups.
    """

    def __init__(self, channels: int, ghost: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self.ghost = ghost

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) or (B, C, H, W), to the same shape."""
        if not self.training or len(x) <= self.ghost:
            whole: Tensor = super().forward(x)
            return whole
        outputs, seen = [], []
        for group in x.split(self._sizes(len(x))):
            mean, var = torch.zeros_like(self.weight), torch.zeros_like(self.weight)
            outputs.append(functional.batch_norm(group, mean, var, self.weight, self.bias, True, 1.0, self.eps))
            seen.append(torch.stack((mean, var)))
        self._remember(*torch.stack(seen).mean(dim=0))
        return torch.cat(outputs)

    def _sizes(self, images: int) -> list[int]:
        """Whole groups and the rest; a single image, which has no variance, joins its neighbours."""
        whole, rest = divmod(images, self.ghost)
        sizes = [self.ghost] * whole
        if rest == 1:
            sizes[-1] += 1
        elif rest:
            sizes.append(rest)
        return sizes

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor) -> None:
        assert self.num_batches_tracked is not None and self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim not in (2, 4):
            raise ValueError(f"ghost batch norm takes (B, C) or (B, C, H, W), not {x.ndim} dimensions")

    def extra_repr(self) -> str:
        """What distinguishes one from another."""
        return f"{super().extra_repr()}, ghost={self.ghost}"
