"""Lightning's Trainer, timed from a callback."""

from pathlib import Path
from typing import Any

from looping.kit import Kit
from looping.worker import Gate


def train(kit: Kit, gate: Gate, folder: Path, *, resident: bool, default: bool) -> None:
    """`default`: with the logger, the progress bar and the values logged in each step that its users have."""
    import lightning.pytorch as pl
    import torch

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = kit.model
            self.right = torch.zeros((), dtype=torch.int64, device=kit.job.device)

        def training_step(self, batch: Any, _: int) -> Any:
            x, y = batch
            logits = self.model(x)
            loss = torch.nn.functional.cross_entropy(logits, y)
            if default:
                self.log("train_loss", loss, prog_bar=True)
                self.log("train_accuracy", (logits.argmax(1) == y).float().mean(), prog_bar=True)
            else:
                self.right += (logits.argmax(1) == y).sum()
            return loss

        def configure_optimizers(self) -> Any:
            optimizer, schedule = kit.optimizer()
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    class Watch(pl.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            gate.step()

    quiet = {} if default else {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        max_epochs=-1, default_root_dir=folder, enable_checkpointing=False, callbacks=[Watch()], devices=1, **quiet
    )
    trainer.fit(Module(), kit.resident() if resident else kit.loader())
