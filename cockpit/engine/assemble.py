"""From a recipe to a training that is ready for its first step."""

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from cockpit.datasets.base import Places
from cockpit.engine import randomness
from cockpit.engine.compiling import compile_network
from cockpit.engine.data.load import Loaded, Split, load
from cockpit.engine.device import Precision, pick_device, pick_precision
from cockpit.engine.distributed import world
from cockpit.engine.distributed_norm import sync_norms
from cockpit.engine.facts import early_norm
from cockpit.engine.feed import Feed
from cockpit.engine.floors import chance_and_floor
from cockpit.engine.homes import housed, words
from cockpit.engine.probes import layers_of
from cockpit.engine.training import Training, batches_of
from cockpit.engine.trial import TrialError, try_out
from cockpit.engine.wiring import Wiring
from cockpit.nets.transfer import fingerprint
from cockpit.recipe import Recipe, tags_of
from cockpit.runs import events as ev
from cockpit.travel import Parts, Task


class AssemblyError(Exception):
    """A recipe that reads well and cannot be built; the text is one sentence."""


def task_of(loaded: Loaded) -> Task:
    """What the network must do."""
    facts = loaded.facts
    return Task(facts.channels, facts.height, facts.width, len(facts.classes), loaded.mirrors)


def build_model(recipe: Recipe, task: Task, *, allow_code: bool) -> nn.Module:
    """The network on the CPU, seeded by the recipe. Raises AssemblyError."""
    if recipe.model.runs_code and not allow_code:
        raise AssemblyError("model.path: this recipe runs code of its own; say --allow-code if you trust it")
    randomness.seed_all(recipe.seed)
    try:
        return recipe.model.build(task)
    except ValueError as error:
        raise AssemblyError(f"model: {error}") from error


def parts_of(recipe: Recipe, model: nn.Module, task: Task, train: Feed) -> Parts:
    """What the tricks may see when they are plugged in."""
    batches = batches_of(train, recipe)
    return Parts(
        model=model,
        task=task,
        train=train,
        total_steps=batches * recipe.train.epochs,
        steps_per_epoch=batches,
        stream=partial(randomness.stream, recipe.seed, step=0),
    )


def feed_of(split: Split, loaded: Loaded, recipe: Recipe, device: torch.device) -> Feed:
    """A split on the device, or on its way there."""

    def per_channel(values: tuple[float, ...]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)

    plain = recipe.data.standardise == "none"
    channels = loaded.facts.channels
    pixels, stream = housed(split, loaded, recipe.data.keep, device)
    return Feed(
        pixels=pixels,
        labels=torch.from_numpy(split.labels).to(device),
        scale=loaded.scale,
        mean=per_channel((0.0,) * channels if plain else loaded.mean),
        std=per_channel((1.0,) * channels if plain else loaded.std),
        layout=torch.channels_last if recipe.train.channels_last else torch.contiguous_format,
        stream=stream,
    )


def assemble(recipe: Recipe, places: Places, *, allow_code: bool = False) -> tuple[Training, Loaded]:
    """Load the data, build the network, lay the tricks on the seams. Raises AssemblyError, DataError, DeviceError."""
    device = pick_device(recipe.train.device)
    precision = pick_precision(recipe.train.precision, device)
    with world().in_turn():
        loaded = load(recipe.data, places)
    task = task_of(loaded)
    train, val = (feed_of(split, loaded, recipe, device) for split in (loaded.train, loaded.val))
    _fits(recipe, train, task)
    model = _ready(build_model(recipe, task, allow_code=allow_code).to(device), train, task, recipe)
    try:
        wiring = Wiring(recipe, parts_of(recipe, model, task, train))
    except ValueError as error:
        raise AssemblyError(f"tricks: {error}") from error
    model, changed = wiring.model, wiring.parts.train
    assert isinstance(changed, Feed)
    sync_norms(model)  # those that a trick brought
    optimizer = _optimizer(recipe, wiring, precision)
    job = Training(
        recipe=recipe,
        task=task,
        model=model,
        optimizer=optimizer,
        precision=precision,
        train=changed,
        val=replace(val, mean=changed.mean, std=changed.std),
        wiring=wiring,
        plain_criterion=recipe.loss.build(task),
        root=wiring.root or fingerprint(dict(model.named_parameters())),
    )
    if recipe.train.compile != "eager":
        compile_network(model, recipe.train.compile, job.said.append)
    return job, loaded


def _fits(recipe: Recipe, train: Feed, task: Task) -> None:
    """Raise AssemblyError where batch or score ask for more than the data have."""
    if len(train) < recipe.train.batch_size and recipe.train.drop_last:
        raise AssemblyError(
            f"train.batch_size: {recipe.train.batch_size} is more than the {len(train)} training images; "
            f"take at most {len(train)}, or train.drop_last: off"
        )
    try:
        recipe.score.measure(torch.eye(task.classes), torch.arange(task.classes))
    except ValueError as error:
        raise AssemblyError(f"score: {error}") from error


def _ready(model: nn.Module, train: Feed, task: Task, recipe: Recipe) -> nn.Module:
    """The network in its memory layout, tried out on two images. Raises AssemblyError."""
    sync_norms(model)
    if recipe.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise AssemblyError("model: the network has no weights to train")
    try:
        try_out(model, train, task.classes, recipe)
    except TrialError as error:
        raise AssemblyError(str(error)) from error
    return model


def _optimizer(recipe: Recipe, wiring: Wiring, precision: Precision) -> torch.optim.Optimizer:
    """The optimizer over the groups that the tricks make. Raises AssemblyError."""
    if world().size > 1 and "create_graph" in recipe.optimizer.contract:
        name = recipe.optimizer.card.name
        raise AssemblyError(f"optimizer.name: {name} takes second derivatives, which several processes cannot share; take one")
    if precision.scaler.is_enabled() and ("closure" in recipe.optimizer.contract or wiring.tagged("looks_twice")):
        raise AssemblyError("train.precision: fp16 scales the loss, and a step that looks at its batch twice cannot; take bf16")
    try:
        trained = [weight for weight in wiring.model.parameters() if weight.requires_grad]
        groups = wiring.through("params", [{"params": trained}], wiring.model)
        optimizer: torch.optim.Optimizer = wiring.through("optimizer", recipe.optimizer.build(groups))
    except ValueError as error:
        raise AssemblyError(f"optimizer: {error}") from error
    return optimizer


def _devices(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return name if world().size == 1 else f"{world().size} x {name}"


def started(job: Training, loaded: Loaded) -> ev.Started:
    """What the screen needs to know of a training before its first step."""
    chance, floor = (math.nan, 0.0) if job.wiring.tagged("no_labels") else chance_and_floor(job, loaded)
    schedule, groups = job.recipe.schedule, job.optimizer.param_groups
    trained = {id(weight) for group in groups for weight in group["params"]}
    return ev.Started(
        step=job.step,
        device=_devices(job.device),
        precision=job.precision.name,
        params=sum(weight.numel() for weight in job.model.parameters()),
        layers=tuple(layer for layer, _ in layers_of(job.model, trained)),
        data=replace(
            loaded.facts,
            mean=tuple(job.train.mean.flatten().tolist()),
            std=tuple(job.train.std.flatten().tolist()),
            home=words(job.train, job.val),
        ),
        plan={seam: list(names) for seam, names in job.wiring.plan.items()},
        steps_per_epoch=job.steps_per_epoch,
        total_steps=job.total_steps,
        epochs=job.recipe.train.epochs,
        batch_size=job.recipe.train.batch_size,
        epoch_lengths=job.calendar.lengths if len(set(job.calendar.lengths)) > 1 else (),
        warmup_steps=round(schedule.warmup_epochs * job.steps_per_epoch),
        probe_every=job.recipe.train.probe_every,
        chance_loss=chance,
        loss_floor=floor,
        chance_accuracy=max(loaded.facts.train_counts) / loaded.facts.train,
        optimizer=job.recipe.optimizer.card.name,
        weight_decay=max(float(group.get("weight_decay", 0.0)) for group in groups),
        frozen=tuple(name for name, weight in job.model.named_parameters() if not weight.requires_grad),
        traits=tags_of(job.recipe),
        early_norm=early_norm(job.model),
    )
