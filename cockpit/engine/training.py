"""The state of one training: everything the loop touches, built from a recipe, saved whole, put back whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cockpit.engine import randomness
from cockpit.engine.device import Precision
from cockpit.engine.distributed import world
from cockpit.engine.distributed_team import Alone, team
from cockpit.engine.feed import Feed, shuffled
from cockpit.engine.memory import Room
from cockpit.engine.meter import Meter
from cockpit.engine.probes import LayerProbe, layers_of
from cockpit.engine.stages import Stages
from cockpit.engine.wiring import Wiring
from cockpit.optim.kernels import bare_step
from cockpit.recipe import Recipe
from cockpit.runs.calendar import Calendar
from cockpit.travel import Batch, Clock, Epoch, Gradients, Moment, Outcome, Task

if TYPE_CHECKING:
    from cockpit.travel import Again, Criterion, Objective

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
    root: str
    """Hash of the weights it started from; runs with one root may be averaged."""
    criterion: Criterion = field(init=False)
    objective: Objective = field(init=False)
    probe: LayerProbe = field(init=False)
    stages: Stages = field(init=False)
    """What its time is spent on."""
    calendar: Calendar = field(init=False)
    batch_size: int = field(init=False)
    """Images in the first optimizer step."""
    looks_twice: bool = field(init=False)
    """Whether something repeats the forward and backward pass of a step."""
    differentiable: bool = field(init=False)
    """Whether the backward pass must itself be differentiable."""
    stepped: bool = field(default=True, init=False)
    """Whether tricks may act on the weights: fp16 skips a step whose gradients overflow."""
    held: bool = field(default=False, init=False)
    """Whether a trick held the last step back: neither weights nor optimizer were touched."""
    team: Alone = field(default_factory=team, init=False)
    """The processes that train it."""
    step: int = 0
    """Optimizer steps done."""
    best: tuple[float, float] | None = None
    """(score, minus validation loss) of the best evaluation so far, both the larger the better."""
    evaluations: int = 0
    part: int = 0
    """Images computed at once, where the device has no room for a batch; else 0."""
    keep_best: bool = False
    said: list[str] = field(default_factory=list, init=False)
    """What the training itself has to say."""
    room: Room = field(init=False)
    """How much of an evaluation is computed at once."""
    _unscaled: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.said)
        weights = [weight for _, weight in layers_of(self.model)]
        self.probe = LayerProbe(weights, self.recipe.train.probe_every, Meter(self.device.type))
        self.stages = Stages(self.device.type)
        self.calendar = Calendar([self.wiring.steps(batches_of(self.train, self.recipe), n) for n in range(self.epochs)])
        self.batch_size = len(next(self.rest_of_epoch())) if self.wiring.uses("sampler") else self.recipe.train.batch_size
        self._rewrap()

    def _rewrap(self) -> None:
        self.criterion = self.wiring.through("loss", self.plain_criterion, self.task)
        objective = self.wiring.through("objective", self._plain_objective, self.forward, self.criterion)
        self.objective = self.team.objective(objective)
        self._update: Callable[[Again], None] = self.wiring.through("update", self._plain_update, self.optimizer)
        self.looks_twice = "closure" in self.recipe.optimizer.contract or self.wiring.tagged("looks_twice")
        self.differentiable = "create_graph" in self.recipe.optimizer.contract

    def forward(self, x: Tensor) -> Tensor:
        """Standardised images (B, C, H, W) -> logits (B, K) in fp32, at the run's precision."""
        with self.precision.autocast(), self._kernels():
            logits: Tensor = self.model(x)
        return logits.float()

    def _kernels(self) -> AbstractContextManager[Any]:
        """Only plain attention can be differentiated twice."""
        return sdpa_kernel(SDPBackend.MATH) if self.differentiable else nullcontext()

    def _plain_objective(self, batch: Batch, at: Moment) -> Outcome:
        logits = self.forward(batch.x)
        return Outcome(self.criterion(logits, batch.y), logits)

    def update(self, again: Again) -> None:
        """One step of the optimizer, unless a trick holds it back. Raises Setback where a trick asks for it."""
        self.held = True
        try:
            self._update(again)
        finally:
            if self.held:
                self.stepped = False
                if self._unscaled:
                    self.precision.scaler.update()  # else the next step finds the gradients of this one
            self._unscaled = False

    def _plain_update(self, again: Again) -> None:
        self.held, self.stepped = False, True
        scaler = self.precision.scaler
        if "closure" in self.recipe.optimizer.contract:
            self.optimizer.step(again)  # type: ignore[arg-type]
        elif not scaler.is_enabled():
            bare_step(self.optimizer)()
        else:
            asked = self.wiring.uses("weights")  # whether they moved; the answer waits for the device
            scale = scaler.get_scale() if asked else 0.0
            scaler.step(self.optimizer)
            scaler.update()
            self.stepped = not asked or scaler.get_scale() >= scale

    @property
    def epochs(self) -> int:
        """Planned epochs."""
        return self.recipe.train.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the first epoch; of every epoch, unless a trick changes them."""
        return self.calendar.lengths[0]

    @property
    def total_steps(self) -> int:
        """Planned steps."""
        return self.calendar.total

    @property
    def epoch(self) -> float:
        """Epochs done, as a fraction."""
        return self.calendar.epoch(self.step)

    @property
    def device(self) -> torch.device:
        """Where the training runs."""
        return self.precision.device

    def rest_of_epoch(self) -> Iterator[Tensor]:
        """The places of the images of each step that the current epoch still has to make."""
        number, done = self.calendar.place(self.step)
        then = partial(self._drawn, number + 1) if number + 1 < self.epochs else None
        for places in self.train.follow(self._drawn(number)[done:], then=then):
            yield places
            if self.train.stream or self.val.stream:
                self.said += [*self.train.take_news(), *self.val.take_news()]

    def _drawn(self, number: int) -> Sequence[Tensor]:
        """The places of every batch of an epoch."""
        train = self.recipe.train
        batches: Sequence[Tensor] = shuffled(
            len(self.train), train.batch_size, seed=self.recipe.seed, epoch=number, drop_last=train.drop_last
        )
        if self.wiring.uses("sampler"):
            stream = partial(randomness.stream, self.recipe.seed, step=number)
            epoch = Epoch(number, self.train.labels.cpu(), train.batch_size, stream)
            batches = self.wiring.through("sampler", batches, epoch)
        return batches

    def batches(self, places: Tensor, at: Moment) -> list[Batch]:
        """The images of a step as the tricks leave them, in parts of one batch: a single one unless a trick asked for more."""
        size = self.part or self.recipe.train.batch_size
        parts = list(places.split(size)) if len(places) > size else [places]
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]  # batch norm can do nothing with a single image
        batches = self.team.batches(self, parts, at)
        if self.train.stream:
            self.stages.waited(self.train.take_waited())
        return batches

    def probe_places(self) -> Iterator[Tensor]:
        """The places of the clean probe: a fixed, random part of the training split."""
        order = torch.randperm(len(self.train), generator=randomness.stream(self.recipe.seed, "probe", 0))
        yield from self.train.follow(order[:PROBE_IMAGES].split(min(256, self.scored_at_once)), _turn)

    def clean_places(self, batches: int = 100) -> Iterator[Tensor]:
        """Places of training images in a fixed random order: what batch norm statistics are taken from anew."""
        order = torch.randperm(len(self.train), generator=randomness.stream(self.recipe.seed, "clean", 0))
        whole = order.split(256)[:batches]
        yield from self.train.follow(whole[:-1] if len(whole) > 1 and len(whole[-1]) == 1 else whole)

    def val_places(self) -> Iterator[Tensor]:
        """The places of the whole validation split."""
        return self.val.in_order(self.scored_at_once, _turn)

    @property
    def scored_at_once(self) -> int:
        """Images in a batch of an evaluation: without gradients, several times as many as in training fit."""
        return max(64, min(512, 8 * (self.part or self.recipe.train.batch_size)))

    def moment(self) -> Moment:
        """The step that comes next."""
        clock = Clock(self.step, self.total_steps, self.steps_per_epoch, self.epoch)
        return Moment(clock, self.task, partial(randomness.stream, self.recipe.seed, step=self.step), self.batch_size)

    def set_lr(self, at: Moment, rate: float | None = None) -> float:
        """Write the step's learning rate, or the one given in its place, into every parameter group; returns the base rate."""
        base = self.recipe.optimizer.lr * self.recipe.schedule.factor(at.clock)
        planned: float = self.wiring.through("schedule", base, at)
        lr = planned if rate is None else rate
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        return lr

    def zero_grad(self) -> None:
        """As optimizer.zero_grad(), without the profiler's note of it, which takes longer than the work."""
        for group in self.optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = None

    def descend(self, loss: Tensor) -> None:
        """The backward pass, scaled where fp16 needs it, differentiable where the optimizer asks for it."""
        scaled = self.precision.scaler.scale(loss)
        if self.differentiable:
            with warnings.catch_warnings(action="ignore"):  # the cycle it warns of ends at zero_grad
                scaled.backward(create_graph=True)
        else:
            scaled.backward()

    @contextmanager
    def settled(self) -> Iterator[None]:
        """The weights where the optimizer would have them scored and kept."""
        moves = "train_eval" in self.recipe.optimizer.contract
        if moves:
            self.optimizer.eval()  # type: ignore[attr-defined]
        try:
            yield
        finally:
            if moves:
                self.optimizer.train()  # type: ignore[attr-defined]

    def gradients(self, at: Moment, *, measure: bool = True) -> Tensor | None:
        """Pass the gradients through their seam and measure them where it is due; returns their norm where it is known."""
        due = measure and self.probe.due(at.clock.step + 1)
        if not due and not self.wiring.uses("grads"):
            return None
        if self.precision.scaler.is_enabled():
            self.precision.scaler.unscale_(self.optimizer)
            self._unscaled = True
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        tensors = [weight.grad for weight in weights if weight.grad is not None]
        found = Gradients(tensors, self.probe.before(tensors) if due else None, self._unscaled)
        norm: Tensor | None = self.wiring.through("grads", found, at).norm
        return norm

    def news(self) -> list[str]:
        """What the tricks have to say since the last call: those whose plugs have a list `news`, emptied here."""
        said = [*self.said]
        self.said.clear()
        for name, plug in self.wiring.plugs.items():
            if getattr(plug, "news", None):
                said += [f"{name}: {text}" for text in plug.news]
                plug.news.clear()
        return said

    def rewire(self, recipe: Recipe) -> None:
        """Take over a recipe whose differences may change between two steps; the tricks that stay keep their state."""
        old = self.recipe
        self.wiring.relay(recipe)
        self.recipe = recipe
        self.probe.every = recipe.train.probe_every
        self._rewrap()
        self.take_options(old)

    def take_options(self, old: Recipe) -> None:
        """Bring the optimizer's groups from the options of an older recipe to those of the one that holds."""
        before, after = old.optimizer.options(), self.recipe.optimizer.options()
        for key in (key for key in after if after[key] != before.get(key)):
            for group in self.optimizer.param_groups:
                if key not in group.get("pinned", ()):
                    group[key] = after[key] * group.get("decay_scale", 1.0) if key == "weight_decay" else after[key]

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to go on as if nothing had happened."""
        return {
            "step": self.step,
            "best": list(self.best) if self.best else None,
            "evaluations": self.evaluations,
            "keep_best": self.keep_best,
            "part": self.part,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "tricks": self.wiring.state_dict(),
            "random": randomness.state(),
        }

    def start_from(self, state: dict[str, Any]) -> None:
        """Go on from kept weights alone; optimizer and tricks start afresh. RuntimeError where the network is another."""
        self.model.load_state_dict(state["model"])
        self.step = int(state["step"])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a saved state back. Raises RuntimeError where the network is another one."""
        self.step, self.evaluations, self.keep_best = state["step"], state["evaluations"], state["keep_best"]
        self.part = state.get("part", 0)  # a checkpoint of an older version has none
        self.best = tuple(state["best"]) if state["best"] else None
        self.model.load_state_dict(state["model"])
        groups = self.optimizer.param_groups
        saved = state["optimizer"]
        own = [{key: group[key] for key in ("fused", "foreach") if key in group} for group in groups]
        kept = [{**group, **kernels} for group, kernels in zip(saved["param_groups"], own, strict=True)]
        self.optimizer.load_state_dict({**saved, "param_groups": kept})  # each device has kernels of its own
        for old, new in zip(groups, self.optimizer.param_groups, strict=True):
            old.clear()
            old.update(new)  # tricks hold on to the groups, and torch makes new ones
        self.optimizer.param_groups = groups
        self.precision.scaler.load_state_dict(state["scaler"])
        self.wiring.load_state_dict(state["tricks"])
        randomness.restore(state["random"])


def batches_of(train: Feed, recipe: Recipe) -> int:
    """Batches in an epoch, before any trick changes them."""
    whole, rest = divmod(len(train), recipe.train.batch_size)
    return whole + (1 if rest and not recipe.train.drop_last else 0)


def _turn(number: int, images: int) -> slice:
    """All of a batch where it is this process's turn to score it, else nothing."""
    return slice(0, images if number % world().size == world().rank else 0)
