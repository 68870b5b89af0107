"""Hugging Face's Trainer, timed from a callback."""

from pathlib import Path
from typing import Any

from looping.kit import Kit
from looping.worker import Gate


def train(kit: Kit, gate: Gate, folder: Path, resident: bool) -> None:
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = kit.model
            self.right = torch.zeros((), dtype=torch.int64, device=kit.job.device)

        def forward(self, pixel_values: Any, labels: Any) -> dict[str, Any]:
            logits = self.model(pixel_values)
            self.right += (logits.argmax(1) == labels).sum()
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    class Watch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            gate.step()

    class Named:
        """Batches as the Trainer wants them."""

        def __iter__(self) -> Any:
            return ({"pixel_values": x, "labels": y} for x, y in kit.resident())

        def __len__(self) -> int:
            return len(kit.resident())

    class Fed(Trainer):
        def get_train_dataloader(self) -> Any:
            return Named() if resident else super().get_train_dataloader()

    def collate(items: Any) -> dict[str, Any]:
        return {"pixel_values": torch.stack([x for x, _ in items]), "labels": torch.stack([y for _, y in items])}

    options = kit.job.recipe
    arguments = TrainingArguments(
        output_dir=str(folder / "hf"),
        max_steps=10**9,
        per_device_train_batch_size=options.train.batch_size,
        dataloader_drop_last=True,
        max_grad_norm=0.0,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=kit.job.device.type == "cpu",
    )
    trainer = Fed(Model(), arguments, collate, kit.loader().dataset, optimizers=kit.optimizer(), callbacks=[Watch()])
    trainer.train()
