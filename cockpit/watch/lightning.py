"""`CockpitCallback` for Lightning: `Trainer(..., callbacks=[CockpitCallback()])`."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Callback
from torch import Tensor

from cockpit.watch.overheard import Overheard, targets_in
from cockpit.watch.run import Watched, watch


class CockpitCallback(Callback):  # type: ignore[misc]  # the library is not typed here
    """Watches a Trainer; the arguments are those of `watch`, less the network, its optimizer and the lengths.

    Outputs and targets are taken from what `training_step` returns under `logits` and `targets`; else from the module's own
    calls (`self(x)`) and the second part of the batch. The first optimizer is watched, in the first process alone.
    """

    def __init__(self, **said: Any) -> None:
        self._said = said
        self.run: Watched | None = None
        """The watched run, while the training lasts."""
        self._heard: Overheard | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the run."""
        if not trainer.is_global_zero or not trainer.optimizers:
            return
        accumulate = max(1, int(trainer.accumulate_grad_batches))
        said = {"name": type(pl_module).__name__, "accumulate": accumulate, **_lengths(trainer, accumulate), **self._said}
        self.run = watch(pl_module, list(trainer.optimizers), **said).start()
        self._heard = Overheard(pl_module, self.run)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A training step."""
        said = outputs if isinstance(outputs, dict) else {"loss": outputs}
        loss, heard = said.get("loss"), self._heard
        if self.run is None or heard is None or not isinstance(loss, Tensor):
            return
        targets = next((each for each in (targets_in(said), heard.targets, targets_in(batch)) if each is not None), None)
        logits = said.get("logits", heard.outputs)
        # Lightning hands over the loss divided by the passes that are accumulated.
        if not self.run.step(loss * max(1, int(trainer.accumulate_grad_batches)), logits, targets):
            trainer.should_stop = True

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A validation step."""
        if self._heard is not None and dataloader_idx == 0:
            self._heard.validated(batch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """An evaluation."""
        if self.run is None or self._heard is None or trainer.sanity_checking:
            return
        outputs, targets = self._heard.validation()
        said = trainer.callback_metrics
        loss, accuracy = _said(said, "val_loss"), _said(said, "val_acc", "val_accuracy")
        if outputs is not None or loss is not None or accuracy is not None:
            self.run.evaluate(outputs, targets, loss=loss, accuracy=accuracy)
            trainer.should_stop = trainer.should_stop or self.run.stop_asked

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The last word."""
        self._close("finished", "")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The last word of a training that was cut off."""
        state = "interrupted" if isinstance(exception, KeyboardInterrupt) else "failed"
        self._close(state, f"{type(exception).__name__}: {exception}"[:500])

    def _close(self, state: str, reason: str) -> None:
        if self.run is not None and self._heard is not None:
            self._heard.remove()
            self.run.close(state, reason)
            self.run = self._heard = None


def _lengths(trainer: Any, accumulate: int) -> dict[str, int]:
    """Epochs and updates, where the trainer knows them."""
    known: dict[str, int] = {}
    batches, epochs, steps = trainer.num_training_batches, trainer.max_epochs, trainer.max_steps
    if isinstance(batches, int) and batches > 0:
        known["steps_per_epoch"] = -(-batches // accumulate)
    if isinstance(epochs, int) and epochs > 0:
        known["epochs"] = epochs
    if isinstance(steps, int) and steps > 0:
        known["total_steps"] = steps
    return known


def _said(metrics: Any, *names: str) -> float | None:
    return next((float(metrics[name]) for name in names if name in metrics), None)
