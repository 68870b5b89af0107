"""What every peer gets: the network, the tensors and the settings of a case. Imports torch only when used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cockpit.bench.cases import Case

if TYPE_CHECKING:
    from torch import nn

    from cockpit.engine.training import Training


class Resident:
    """Epoch after epoch of the plain loop's batches."""

    def __init__(self, job: Training) -> None:
        self.job = job

    def __iter__(self) -> Iterator[Any]:
        from cockpit.bench.loops import epoch

        return epoch(self.job.train, self.job.recipe.train.batch_size)

    def __len__(self) -> int:
        return len(self.job.train) // self.job.recipe.train.batch_size


@dataclass(frozen=True)
class Kit:
    """A case, built."""

    job: Training

    @classmethod
    def of(cls, case: Case) -> Kit:
        from cockpit.bench.loops import built

        return cls(built(case)[0])

    @property
    def model(self) -> nn.Module:
        return self.job.model.train()

    def optimizer(self) -> tuple[Any, Any]:
        """SGD and its cosine, for `model`."""
        import torch

        options = self.job.recipe.optimizer.options()
        kept = {key: options[key] for key in ("lr", "momentum", "weight_decay")}
        optimizer = torch.optim.SGD(self.job.model.parameters(), **kept)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.job.total_steps)

    def loader(self) -> Any:
        """A DataLoader over standardised images and labels in the memory of the host."""
        from torch.utils.data import DataLoader, TensorDataset

        feed = self.job.train
        images = ((feed.pixels.float() * feed.scale - feed.mean) / feed.std).cpu()
        return DataLoader(
            TensorDataset(images, feed.labels.cpu()), self.job.recipe.train.batch_size, shuffle=True, drop_last=True
        )

    def resident(self) -> Iterable[Any]:
        """The batches of the plain loop."""
        return Resident(self.job)
