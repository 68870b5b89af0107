"""`CockpitCallback` for the Trainer of Hugging Face: `Trainer(..., callbacks=[CockpitCallback()])`."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from cockpit.watch.overheard import Overheard
from cockpit.watch.run import Watched, watch
from cockpit.watch.settings import bare


class CockpitCallback(TrainerCallback):  # type: ignore[misc]  # the library is not typed here
    """Watches a Trainer; the arguments are those of `watch`, less the network, its optimizer and the lengths.

    The network must return its loss, as those of the library do when they are handed labels. Only the first process writes.
    A Trainer that raises leaves no word to its callbacks: the run then ends with the script, or at `close`.
    """

    def __init__(self, **said: Any) -> None:
        self._said = said
        self.run: Watched | None = None
        """The watched run, once the training has begun."""
        self._heard: Overheard | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the run."""
        if not state.is_world_process_zero:
            return
        self.close("failed", "another training began")
        model, optimizer = kwargs["model"], kwargs["optimizer"]
        lengths: dict[str, int] = {}
        if state.max_steps > 0:
            epochs = max(1, round(float(state.num_train_epochs or args.num_train_epochs)))
            lengths = {"total_steps": state.max_steps, "epochs": epochs, "steps_per_epoch": max(1, state.max_steps // epochs)}
        said = {"name": "trainer", "accumulate": max(1, int(args.gradient_accumulation_steps)), **lengths, **self._said}
        self.run = watch(bare(model), optimizer, **said).start()
        self._heard = Overheard(bare(model), self.run)

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A backward pass that is accumulated."""
        self._step(control)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An update."""
        self._step(control)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """An evaluation."""
        if self.run is not None and self._heard is not None:
            said = metrics or {}
            outputs, targets = self._heard.validation()
            self.run.evaluate(outputs, targets, loss=said.get("eval_loss"), accuracy=said.get("eval_accuracy"))
            control.should_training_stop |= self.run.stop_asked

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The last word."""
        self.close()

    def close(self, state: str = "finished", reason: str = "") -> None:
        """End the run, where the Trainer could not; `state` as in `Watched.close`."""
        if self.run is not None and self._heard is not None:
            self._heard.remove()
            self.run.close(state, reason)
            self.run = self._heard = None

    def _step(self, control: Any) -> None:
        heard = self._heard
        if self.run is not None and heard is not None and heard.loss is not None:
            loss, heard.loss = heard.loss, None
            if not self.run.step(loss, heard.outputs, heard.targets):
                control.should_training_stop = True
