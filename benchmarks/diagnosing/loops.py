"""Cases that no recipe can say, as loops of the user's own: plain PyTorch, and `cockpit.watch` beside it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cockpit import watch
from diagnosing.cases import Case, reference

PROBE = 512
"""Training examples that the watcher may measure on."""
CHUNK = 500
TINY = 4
"""Images in a batch of a validation that forgot net.eval()."""
WORKERS = 2
"""Loader workers that draw the same augmentation."""
ON_PROBABILITIES = ("mse", "mae", "bce", "bce_clamped", "bce_of_raw")
"""Losses on one output whose answer is yes from a half on; of the others, from 0 on."""
PARTS = {"augment"}
"""Tricks that these loops have."""


@dataclass
class Loop:
    """One case under way: what an ordinary training script has in its variables."""

    case: Case
    seed: int
    plain: ModuleType

    def __post_init__(self) -> None:
        spec = self.case.spec
        strange = set(spec["tricks"] or {}) - PARTS
        if strange:
            raise NotImplementedError(f"{self.case.id}: no loop has the trick {', '.join(strange)}")
        torch.manual_seed(self.seed)
        self.x, self.y, self.x_val, self.y_val = self.plain.make_data(spec["data"], self.seed)
        self.outputs: int = spec["model"]["outputs"]
        self.net: nn.Module = self.plain.make_model(spec["model"], self.x.shape[1:], spec)
        self.criterion, self.answer, self.target = loss_of(self.case, self.plain)
        self.optimizer: torch.optim.Optimizer = self.plain.make_opt(spec["optimizer"], self._trained())
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.size = min(spec["train"]["batch_size"], len(self.x))
        self.batches = math.ceil(len(self.x) / self.size)
        self.epochs: int = spec["train"]["epochs"]
        self.accumulate: int = spec["train"].get("accumulate", 1)
        self.step = 0

    def has(self, defect: str) -> bool:
        """Whether the case has this fault."""
        return defect in self.case.spec["defects"]

    def _trained(self) -> list[nn.Parameter]:
        """What goes to the optimizer: everything, unless that is the fault."""
        layers = [layer for layer in self.net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        head = set(layers[-1].parameters())
        frozen: set[nn.Parameter] = set()
        if self.has("frozen_all_but_head"):
            frozen = set(self.net.parameters()) - head
        if self.has("frozen_first_layers"):
            first = self.case.spec["train"].get("frozen_layers", 2)
            frozen = {weight for layer in layers[:first] for weight in layer.parameters()}
        for weight in frozen:
            weight.requires_grad_(False)
        chosen = head if self.has("optimizer_head_only") else set(self.net.parameters()) - frozen
        return [weight for weight in self.net.parameters() if weight in chosen]

    def epoch(self, number: int, watched: Any) -> None:
        """One pass over the training data."""
        self.net.train()
        order = torch.argsort(self.y) if self.has("curriculum_sorted") else torch.randperm(len(self.x))
        for batch, places in enumerate(order.split(self.size)):
            normed = any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in self.net.modules())
            if len(places) > 1 or not normed:
                self._batch(self._augmented(self.x[places], number, batch), self.y[places], watched)
            self.step += 1

    def _batch(self, x: Tensor, y: Tensor, watched: Any) -> None:
        total, schedule = self.batches * self.epochs, self.case.spec["schedule"]
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.plain.sched(schedule, self.step, total, self.batches)
        if self.step % self.accumulate == 0 and not (self.has("no_zero_grad") or self.has("zero_grad_before_step")):
            self.optimizer.zero_grad()
        logits, target = self.answer(self.net(x)), self.target(y)
        loss = self.criterion(logits, target)
        if loss.requires_grad:
            (loss / self.accumulate).backward()
        for weight in self.net.parameters():
            if weight.grad is not None and self.has("flip_gradient_sign"):
                weight.grad.neg_()
        if self.has("zero_grad_before_step"):
            self.optimizer.zero_grad(set_to_none=False)
        skipped = self.step < self.case.spec["train"].get("injected_inf_steps", 0)
        if (self.step + 1) % self.accumulate == 0 and not skipped:
            self.optimizer.step()
        watched.step(loss, logits, target)

    def _augmented(self, x: Tensor, epoch: int, batch: int) -> Tensor:
        """Shifted and noisy, where the case says so; workers of one seed draw the same for neighbouring batches."""
        knobs = (self.case.spec["tricks"] or {}).get("augment", {})
        turn = batch // WORKERS if self.has("identical_worker_seeds") else batch
        draws = torch.Generator().manual_seed(1000 * epoch + turn)
        if most := knobs.get("shift"):
            right, down = (int(torch.randint(-most, most + 1, (), generator=draws)) for _ in range(2))
            x = torch.roll(x, (right, down), (2, 3))
        return x + knobs["noise_sd"] * torch.randn(x.shape, generator=draws) if knobs.get("noise_sd") else x

    @torch.no_grad()
    def validate(self, *, clean: bool = False) -> tuple[Tensor, float]:
        """The validation answers and their accuracy; in training mode, where that is the fault and `clean` is not asked."""
        wrong = self.has("validate_in_train_mode") and not clean
        self.net.train(wrong)
        raw = torch.cat([self.net(part) for part in self.x_val.split(TINY if wrong else CHUNK)])
        ends, loss = self.case.spec["model"].get("output_activation", "none"), self.case.spec["loss"]["name"]
        level = 0.5 if ends in ("sigmoid", "softmax") or loss in ON_PROBABILITIES else 0.0
        guess = raw.argmax(1) if self.outputs > 1 else (raw.squeeze(1) > level).long()
        return self.answer(raw), float((guess == self.y_val).float().mean())


def train(case: Case, seed: int, out: Path) -> tuple[Path, float]:
    """Run the loop of a case under watch; its run directory, and the clean validation accuracy at the end."""
    loop = Loop(case, seed, reference(case.file))
    with watch(
        loop.net,
        loop.optimizer,
        name=f"{case.id}_{seed}",
        runs=out,
        criterion=loop.criterion,
        epochs=loop.epochs,
        steps_per_epoch=max(1, loop.batches // loop.accumulate),
        probe=(loop.x[:PROBE], loop.target(loop.y[:PROBE])),
        classes=int(loop.y.max()) + 1,
        accumulate=loop.accumulate,
    ) as watched:
        for number in range(loop.epochs):
            loop.epoch(number, watched)
            answers, accuracy = loop.validate()
            watched.evaluate(answers, loop.target(loop.y_val), accuracy=accuracy)
    _, accuracy = loop.validate(clean=True)
    return Path(watched.dir.path), accuracy


Change = Callable[[Tensor], Tensor]


def loss_of(case: Case, plain: ModuleType) -> tuple[Callable[[Tensor, Tensor], Tensor], Change, Change]:
    """The criterion as a script would have it, torch's own where there is one; what it makes of the outputs, and of labels."""
    spec: Mapping[str, Any] = case.spec["loss"]
    outputs: int = case.spec["model"]["outputs"]
    name, reduction = spec["name"], spec.get("reduction", "mean")
    if name == "cross_entropy":
        weights = torch.tensor(spec["class_weights"]) if spec.get("class_weights") else None
        return nn.CrossEntropyLoss(weights, reduction=reduction), _as_it_is, _as_it_is
    if name == "nll":
        return nn.NLLLoss(reduction=reduction), _as_it_is, _as_it_is
    if name == "bce_with_logits":
        return nn.BCEWithLogitsLoss(reduction=reduction), lambda z: z.squeeze(1), lambda y: y.float()
    if name == "mse" and outputs > 1:
        return nn.MSELoss(reduction=reduction), _as_it_is, lambda y: F.one_hot(y, outputs).float()
    return plain.make_loss(spec, outputs), _as_it_is, _as_it_is


def _as_it_is(values: Tensor) -> Tensor:
    return values
