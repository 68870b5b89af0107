"""A batch norm for each part of a batch: Xie et al. 2020, arXiv 1911.09665, in timm's form."""

from timm.layers.split_batchnorm import SplitBatchNorm2d
from torch import Tensor, nn


class SplitBatchNorm(SplitBatchNorm2d):
    """As timm's, but a batch that the parts do not divide is normalised whole instead of ending the run."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), the parts stacked in order, to the same shape."""
        whole = self.training and len(x) % self.num_splits
        out: Tensor = nn.BatchNorm2d.forward(self, x) if whole else super().forward(x)
        return out
