"""A Hugging Face Trainer, watched: needs `pip install 'training-cockpit[hf]'`. Nothing is downloaded."""

import sys
import tempfile
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from cockpit.watch.hf import CockpitCallback

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 5


class Digits(Dataset):
    """Images by row, as the Trainer takes them."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        return {"pixels": self.images[place], "labels": self.labels[place]}


class Classifier(nn.Module):
    """Returns its loss with its logits, as the library's networks do when they are handed labels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))

    def forward(self, pixels: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """(B, 64) -> loss and (B, 10)."""
        logits = self.layers(pixels)
        known = {} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)}
        return {**known, "logits": logits}


def accuracy(seen: SimpleNamespace) -> dict[str, float]:
    """What the Trainer itself says, which the cockpit compares with the logits."""
    return {"accuracy": float((np.argmax(seen.predictions, 1) == seen.label_ids).mean())}


def main() -> None:
    """Train."""
    torch.manual_seed(0)
    digits = load_digits()
    images, labels = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1, torch.tensor(digits.target)
    train, val = torch.randperm(len(images)).tensor_split([1500])
    with tempfile.TemporaryDirectory() as folder:
        said = TrainingArguments(
            folder,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=32,
            learning_rate=3e-3,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
            use_cpu=True,
        )
        Trainer(
            Classifier(),
            said,
            train_dataset=Digits(images[train], labels[train]),
            eval_dataset=Digits(images[val], labels[val]),
            compute_metrics=accuracy,
            callbacks=[CockpitCallback(name="hf_trainer")],
        ).train()


if __name__ == "__main__":
    main()
