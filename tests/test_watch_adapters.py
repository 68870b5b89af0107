"""The callbacks for Hugging Face and Lightning, called as those libraries call them; and the libraries themselves, if there."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from commands import answer
from test_watch import data
from torch import nn

from cockpit.runs.directory import find, runs_root
from cockpit.runs.history import History, read_history

CE = nn.functional.cross_entropy
EXAMPLES = Path(__file__).parents[1] / "examples"


def standing_in(monkeypatch: pytest.MonkeyPatch, library: str, base: str, path: str) -> Any:
    """The adapter over a base class without any code, as the libraries' own are."""
    parts = path.split(".")
    for depth in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), ModuleType(".".join(parts[:depth])))
    setattr(sys.modules[path], base, type(base, (), {}))
    monkeypatch.delitem(sys.modules, f"cockpit.watch.{library}", raising=False)
    return importlib.import_module(f"cockpit.watch.{library}").CockpitCallback


class Labelled(nn.Module):
    """Returns its loss where it is handed labels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4))

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        logits = self.layers(x)
        return {"logits": logits} if labels is None else {"loss": CE(logits, labels), "logits": logits}


def train_as_transformers(callback: Any, accumulate: int = 2, epochs: int = 2) -> None:
    """The order of events of transformers.Trainer (5.12, trainer_callbacks)."""
    x, y = data()
    model = Labelled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    args = SimpleNamespace(num_train_epochs=epochs, gradient_accumulation_steps=accumulate)
    state = SimpleNamespace(is_world_process_zero=True, max_steps=epochs * 10 // accumulate, num_train_epochs=epochs)
    control = SimpleNamespace(should_training_stop=False)
    said = {"model": model, "optimizer": SimpleNamespace(optimizer=optimizer)}
    callback.on_train_begin(args, state, control, **said)
    for _ in range(epochs):
        model.train()
        for number, places in enumerate(torch.randperm(320).split(32)):
            loss = model(x=x[places], labels=y[places])["loss"]
            (loss / accumulate).backward()
            if (number + 1) % accumulate:
                callback.on_substep_end(args, state, control, **said)
                continue
            optimizer.step()
            model.zero_grad()
            callback.on_step_end(args, state, control, **said)
        model.eval()
        with torch.no_grad():
            answers = [model(x=x[part], labels=y[part])["logits"] for part in torch.arange(320).split(100)]
        said_accuracy = float((torch.cat(answers).argmax(1) == y).float().mean())
        callback.on_evaluate(args, state, control, metrics={"eval_loss": 0.3, "eval_accuracy": said_accuracy}, **said)
    callback.on_train_end(args, state, control, **said)


def newest() -> History:
    history = read_history(find(runs_root()))
    assert not [note for note in history.notes if note.level != "info"], history.notes
    return history


def check(history: History, rows: int, accumulate: int) -> None:
    """What both libraries must leave behind."""
    steps = history.steps
    assert len(steps) == rows and history.started and history.started.accumulate == accumulate
    assert np.isfinite(steps["loss"]).all() and np.isfinite(steps["accuracy"]).all()
    assert (steps["grad_norm"][:20] > 0).all() and (steps["update_ratio"][:20] > 0).all() and (steps["stale"][:20] == 0).all()
    assert history.started.criterion == "logits" and history.started.steps_per_epoch == rows // 2
    seen = history.evaluations[-1]
    assert len(history.evaluations) == 2 and seen.val_size == 320 and seen.probe_size == 320
    assert seen.val_accuracy > 0.5 and seen.said_accuracy == pytest.approx(seen.val_accuracy, abs=1e-6)
    assert not seen.in_training_mode and np.isfinite(seen.train_mode_loss)
    assert history.ended and history.ended.state == "finished"


@pytest.mark.parametrize("accumulate", [1, 2])
def test_transformers(monkeypatch: pytest.MonkeyPatch, accumulate: int) -> None:
    train_as_transformers(standing_in(monkeypatch, "hf", "TrainerCallback", "transformers")(name="mine"), accumulate)
    check(newest(), 20 // accumulate, accumulate)


class Module(nn.Module):
    """A module of Lightning's, as far as a callback sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Labelled().layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def train_as_lightning(callback: Any, accumulate: int = 1, epochs: int = 2, stop_after: int = 0) -> SimpleNamespace:
    """The order of events of lightning.pytorch.Trainer (2.6) under automatic optimization: the closure holds the passes."""
    x, y = data()
    module = Module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    trainer = SimpleNamespace(
        is_global_zero=True,
        optimizers=[optimizer],
        accumulate_grad_batches=accumulate,
        num_training_batches=10,
        max_epochs=epochs,
        max_steps=-1,
        sanity_checking=True,
        callback_metrics={},
        should_stop=False,
    )
    module.eval()
    with torch.no_grad():
        module(x[:32])
    callback.on_validation_batch_end(trainer, module, None, (x[:32], y[:32]), 0)
    callback.on_validation_end(trainer, module)
    trainer.sanity_checking = False
    module.train()
    callback.on_train_start(trainer, module)
    for _ in range(epochs):
        module.train()
        for number, places in enumerate(torch.randperm(320).split(32)):
            batch, kept = (x[places], y[places]), []

            def closure(batch: Any = batch, kept: list[Any] = kept, number: int = number) -> torch.Tensor:
                loss = CE(module(batch[0]), batch[1]) / accumulate
                if number % accumulate == 0:
                    optimizer.zero_grad()
                loss.backward()
                kept.append(loss.detach())
                return loss

            if (number + 1) % accumulate:
                closure()
            else:
                optimizer.step(closure=closure)
            callback.on_train_batch_end(trainer, module, {"loss": kept[0]}, batch, number)
            if stop_after and number + 1 == stop_after:
                raise KeyboardInterrupt
        module.eval()
        right = 0.0
        with torch.no_grad():
            for number, part in enumerate(torch.arange(320).split(100)):
                right += float((module(x[part]).argmax(1) == y[part]).sum())
                callback.on_validation_batch_end(trainer, module, None, (x[part], y[part]), number)
        trainer.callback_metrics = {"val_loss": torch.tensor(0.2), "val_acc": torch.tensor(right / 320)}
        callback.on_validation_end(trainer, module)
    callback.on_train_end(trainer, module)
    return trainer


@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning(monkeypatch: pytest.MonkeyPatch, accumulate: int) -> None:
    train_as_lightning(standing_in(monkeypatch, "lightning", "Callback", "lightning.pytorch.callbacks")(), accumulate)
    history = newest()
    check(history, 20 // accumulate, accumulate)
    assert 0.5 < history.steps["loss"][0] < 3


def test_lightning_that_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    callback = standing_in(monkeypatch, "lightning", "Callback", "lightning.pytorch.callbacks")()
    with pytest.raises(KeyboardInterrupt):
        train_as_lightning(callback, stop_after=5)
    callback.on_exception(None, None, KeyboardInterrupt())
    assert answer("show")["state"] == "interrupted" and answer("show")["step"] == 5


@pytest.mark.parametrize(("example", "library"), [("hf_trainer", "transformers"), ("lightning_loop", "lightning")])
def test_the_examples_of_libraries(example: str, library: str) -> None:
    pytest.importorskip(library)
    subprocess.run([sys.executable, str(EXAMPLES / f"{example}.py"), "2"], check=True, timeout=300, capture_output=True)
    history = newest()
    assert len(history.steps) == 94 and len(history.evaluations) == 2 and history.evaluations[-1].val_accuracy > 0.85
    assert history.ended and history.ended.state == "finished"
