"""The state of one training: everything the loop touches, built from a recipe, saved whole, put back whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cockpit.engine import randomness
from cockpit.engine.device import Precision
from cockpit.engine.feed import Feed, in_order, shuffled
from cockpit.engine.probes import LayerProbe, layers_of
from cockpit.engine.wiring import Wiring
from cockpit.families import Clock, Gradients, Moment, Task
from cockpit.recipe import Recipe

if TYPE_CHECKING:
    from cockpit.families import Criterion

PROBE_IMAGES = 512
"""Training images of the clean probe."""


@dataclass
class Training:
    """Built by `assemble`; only the training thread touches it."""

    recipe: Recipe
    task: Task
    model: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    train: Feed
    val: Feed
    wiring: Wiring
    plain_criterion: Criterion
    criterion: Criterion = field(init=False)
    update: Callable[[], None] = field(init=False)
    probe: LayerProbe = field(init=False)
    step: int = 0
    """Optimizer steps done."""
    best: tuple[float, float] | None = None
    """(validation accuracy, minus validation loss) of the best evaluation so far."""
    evaluations: int = 0
    keep_best: bool = False

    def __post_init__(self) -> None:
        self.probe = LayerProbe([weight for _, weight in layers_of(self.model)], self.recipe.train.probe_every)
        self._rewrap()

    def _rewrap(self) -> None:
        self.criterion = self.wiring.through("loss", self.plain_criterion, self.task)
        self.update = self.wiring.through("update", self._plain_update)

    def _plain_update(self) -> None:
        self.precision.scaler.step(self.optimizer)
        self.precision.scaler.update()

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.train), self.recipe.train.batch_size)
        return whole + (1 if rest and not self.recipe.train.drop_last else 0)

    @property
    def total_steps(self) -> int:
        """Planned steps."""
        return self.steps_per_epoch * self.recipe.train.epochs

    @property
    def epoch(self) -> float:
        """Epochs done, as a fraction."""
        return self.step / self.steps_per_epoch

    @property
    def device(self) -> torch.device:
        """Where the training runs."""
        return self.precision.device

    def rest_of_epoch(self) -> Iterator[Tensor]:
        """The places of the batches that the current epoch still has to train on."""
        epoch, done = divmod(self.step, self.steps_per_epoch)
        train = self.recipe.train
        batches = shuffled(len(self.train), train.batch_size, seed=self.recipe.seed, epoch=epoch, drop_last=train.drop_last)
        for places in batches[done:]:
            yield places.to(self.device, non_blocking=True)

    def probe_places(self) -> Iterator[Tensor]:
        """The places of the clean probe: a fixed, random part of the training split."""
        order = torch.randperm(len(self.train), generator=randomness.stream(self.recipe.seed, "probe", 0))
        yield from order[:PROBE_IMAGES].to(self.device).split(256)

    def val_places(self) -> Iterator[Tensor]:
        """The places of the whole validation split."""
        return in_order(len(self.val), 512, self.device)

    def moment(self) -> Moment:
        """The step that comes next."""
        clock = Clock(self.step, self.total_steps, self.steps_per_epoch)
        return Moment(clock, self.task, partial(randomness.stream, self.recipe.seed, step=self.step))

    def set_lr(self, at: Moment) -> float:
        """Write the step's learning rate into every parameter group; returns the base rate."""
        base = self.recipe.optimizer.lr * self.recipe.schedule.factor(at.clock)
        lr: float = self.wiring.through("schedule", base, at)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        return lr

    def gradients(self, at: Moment) -> Tensor | None:
        """Pass the gradients through their seam and measure them where it is due; returns their norm where it is known."""
        due = self.probe.due(at.clock.step + 1)
        if not due and not self.wiring.uses("grads"):
            return None
        if self.precision.scaler.is_enabled():
            self.precision.scaler.unscale_(self.optimizer)
        tensors = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        found = Gradients(tensors, self.probe.before(tensors) if due else None)
        norm: Tensor | None = self.wiring.through("grads", found, at).norm
        return norm

    def rewire(self, recipe: Recipe) -> None:
        """Take over a recipe whose differences may change between two steps; the tricks that stay keep their state."""
        old, state = self.recipe, self.wiring.state_dict()
        self.wiring.close()
        self.recipe = recipe
        self.wiring = Wiring(recipe, self.model, self.wiring.standardise)
        self.wiring.load_state_dict(state)
        self.probe.every = recipe.train.probe_every
        self._rewrap()
        before, after = old.optimizer.options(), recipe.optimizer.options()
        for key in (key for key in after if after[key] != before.get(key)):
            for group in self.optimizer.param_groups:
                if key not in group.get("pinned", ()):
                    group[key] = after[key]

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to go on as if nothing had happened."""
        return {
            "step": self.step,
            "best": list(self.best) if self.best else None,
            "evaluations": self.evaluations,
            "keep_best": self.keep_best,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "tricks": self.wiring.state_dict(),
            "random": randomness.state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a saved state back. Raises RuntimeError where the network is another one."""
        self.step, self.evaluations, self.keep_best = state["step"], state["evaluations"], state["keep_best"]
        self.best = tuple(state["best"]) if state["best"] else None
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.scaler.load_state_dict(state["scaler"])
        self.wiring.load_state_dict(state["tricks"])
        randomness.restore(state["random"])
