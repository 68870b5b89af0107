"""The catalogue in careless hands: a sentence before the first step, and resumes that go on where the run stood."""

import inspect
import io
import itertools
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from kit import COLOUR, images, parts
from test_optim_runs import CNN

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine import assemble as assembling
from cockpit.engine.assemble import AssemblyError, assemble
from cockpit.engine.data.load import load
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.recipe import RecipeError, edit, loads
from cockpit.travel import Task
from cockpit.tricks.augmentation.policies import RandAugment, one_by_one

SMALL = CNN.replace("limit: 200", "limit: 64")
VIT = "model={name: vit, patch: 4, dim: 16, depth: 1, heads: 2}"
WIDE = "data={source: synthetic, size: 8, train: 60, test: 4, channels: %d}"


@pytest.fixture(scope="module", autouse=True)
def read_once() -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembling, "load", cache(load))
        yield


def job_of(*edits: str):
    job, _ = assemble(loads(SMALL, edits=edits), Places(root=data_root()))
    job.model.train()
    return job


def losses(job, steps: int) -> list[float]:
    """Train so many steps, or to the end of the run."""
    seen: list[float] = []
    recorder, end = Recorder(lambda rows, layers: seen.extend(rows["loss"])), min(job.step + steps, job.total_steps)
    while job.step < end:
        for places in itertools.islice(job.rest_of_epoch(), end - job.step):
            take_step(job, places, recorder)
    recorder.flush()
    return seen


def saved(job) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(job.state_dict(), file)
    file.seek(0)
    return file


def resumed(job, file: io.BytesIO):
    """A fresh job of the same recipe, with the state of the file."""
    other, _ = assemble(job.recipe, Places(root=data_root()))
    other.load_state_dict(torch.load(file, weights_only=True))
    other.model.train()
    return other


def goes_on_alike(job) -> bool:
    """Whether a resume trains the next steps to the bit as the run itself does."""
    file = saved(job)
    straight, weights = losses(job, 3), [weight.detach().clone() for weight in job.model.parameters()]
    other = resumed(job, file)
    return losses(other, 3) == straight and all(map(torch.equal, other.model.parameters(), weights))


@pytest.mark.parametrize("form", ["decoupled", "loss"])
@pytest.mark.parametrize("optimizer", ["{name: adamw, weight_decay: 0.5}", "{name: sgd, weight_decay: 0.5}"])
def test_decay_by_hand_is_resumed_with_the_rate_of_the_step_and_without_the_optimizers_own(form, optimizer):
    job = job_of(f"optimizer={optimizer}", "schedule=linear", f"tricks.decay_by_hand={{lam: 0.5, form: {form}}}")
    losses(job, 3)
    assert goes_on_alike(job)


def test_a_live_optimizer_edit_reaches_decay_by_hand_after_a_resume():
    job = job_of("optimizer={name: sgd, lr: 0.1}", "tricks.decay_by_hand={lam: 1.0}")
    losses(job, 1)
    other = resumed(job, saved(job))
    other.rewire(edit(other.recipe, "optimizer.lr", "0.01"))
    before = [weight.detach().clone() for weight in other.model.parameters()]
    groups = other.optimizer.param_groups
    for weight in other.model.parameters():
        weight.grad = torch.zeros_like(weight)
    other.set_lr(other.moment())
    other.update(lambda: torch.zeros(()))
    assert groups[0]["lr"] == 0.01
    for was, weight in zip(before, other.model.parameters(), strict=True):
        torch.testing.assert_close(weight.detach(), was * (1 - 0.01), rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", ["triplet", "cosine_pairs"])
@pytest.mark.parametrize("drop", ["dropout={p: 0.5}", "alpha_dropout={p: 0.5}"])
def test_a_dropout_that_comes_later_stands_before_the_features_of_a_loss_too(loss, drop):
    job = job_of(f"loss={loss}")
    losses(job, 1)
    name, _, knobs = drop.partition("=")
    job.rewire(edit(job.recipe, f"tricks.{name}", knobs))
    losses(job, 1)
    assert goes_on_alike(job)


@pytest.mark.parametrize("magnitude", [0.0, 2.0, 9.0, 10.0])
@pytest.mark.parametrize("inc", [True, False])
def test_timms_policy_takes_every_strength_of_its_scale(magnitude, inc):
    policy = RandAugment(scale="timm", magnitude=magnitude, inc=inc, mstd=2.0, n=6).plug(parts(torch.nn.Identity(), COLOUR))
    x = images(COLOUR, 40).take(torch.arange(40)).x
    changed = one_by_one(x, policy._change, torch.Generator().manual_seed(0))
    assert changed.shape == x.shape and not torch.equal(changed, x)


def test_timms_policy_keeps_a_bit_where_its_scale_ends():
    from PIL import Image
    from timm.data.auto_augment import RandAugment as Theirs
    from timm.data.auto_augment import posterize

    policy = RandAugment(scale="timm", magnitude=10.0, mstd=0.0, n=1).plug(parts(torch.nn.Identity(), COLOUR))
    (transform,) = [each for each in inspect.getclosurevars(policy._change).nonlocals.values() if isinstance(each, Theirs)]
    (kept,) = [each for each in transform.ops if each.name.startswith("Posterize")]
    assert kept.aug_fn is not posterize and kept.level_fn(10, {}) == (0,)
    flat = Image.new("RGB", (2, 2), (200, 100, 130))
    assert kept.aug_fn(flat, 0).getpixel((0, 0)) == (128, 0, 128)
    assert kept.aug_fn(flat, 3).getpixel((0, 0)) == (192, 96, 128)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("name", ["auto_augment", "rand_augment", "rand_augment={scale: timm}", "trivial_augment", "aug_mix"])
def test_a_librarys_policy_refuses_images_that_are_neither_grey_nor_rgb(name, channels):
    name, _, knobs = name.partition("=")
    with pytest.raises(AssemblyError, match=f"^tricks: {name} takes images of 1 or 3 channels, and these have {channels}"):
        job_of(WIDE % channels, f"tricks.{name}={knobs or 'on'}")


@pytest.mark.parametrize("side", [2, 3])
def test_images_smaller_than_a_patch_cannot_be_whitened(side):
    data = "data={source: synthetic, size: %d, train: 60, test: 4}"
    with pytest.raises(AssemblyError, match=f"images of {side - 1}x{side - 1} have no patches of {side}x{side}"):
        job_of(data % (side - 1), f"tricks.whitening_conv={{k: {side}}}")
    assert losses(job_of(data % side, f"tricks.whitening_conv={{k: {side}}}"), 1)


@pytest.mark.parametrize("name", ["fgsm", "fgsm_rs", "pgd={steps: 1}"])
def test_an_attack_refuses_a_network_without_a_gradient_by_the_image(name):
    name, _, knobs = name.partition("=")
    attack = f"tricks.{name}={knobs or 'on'}"
    with pytest.raises(AssemblyError, match="no gradient reaches the images"):
        job_of("model.activation=binary_step", attack)
    assert losses(job_of("model.activation={name: binary_step, straight_through: on}", attack), 1)
    assert losses(job_of(VIT, "model.activation=binary_step", attack), 1), "attention is a way around the steps"


@pytest.mark.parametrize("activation", ["hardsigmoid", "binary_step"])
def test_gradient_penalty_refuses_a_network_without_a_second_derivative(activation):
    with pytest.raises(AssemblyError, match="gradient_penalty takes the gradient of a gradient"):
        job_of(f"model.activation={activation}", "tricks.gradient_penalty=on")
    assert losses(job_of(VIT, "model.activation=relu", "tricks.gradient_penalty={of: params}"), 1)


def test_trying_the_penalty_out_leaves_network_and_generators_alone():
    plain, tried = job_of(), job_of("tricks.gradient_penalty={lam: 0}", "tricks.fgsm={weight: 0}")
    assert all(weight.grad is None for weight in tried.model.parameters())
    assert losses(plain, 2) == pytest.approx(losses(tried, 2), rel=1e-6)


@pytest.mark.parametrize("optimizer", ["adasecant", "vsgd", "schedule_free"])
def test_a_warm_up_is_named_where_it_is_what_moves_a_constant_rate(optimizer):
    with pytest.raises(RecipeError, match="take schedule: constant without a warm-up"):
        loads(SMALL, edits=(f"optimizer={optimizer}", "schedule.warmup_epochs=1"))


@pytest.mark.parametrize(
    "edits",
    [
        ("train.batch_size=64", "tricks.grad_accumulation={steps: 64}", "train.epochs=1"),
        ("train.batch_size=1", "model.norm=layer", "tricks.mixup={per: pair}"),
        ("train.batch_size=1", "model.norm=layer", "tricks.same_class_mix=on"),
        ("train.batch_size=1", "loss=triplet"),
        ("schedule=cosine", "schedule.warmup_epochs=1e30", "tricks.swa={start: 0.99, every: 1000}"),
        ("tricks.batch_growth={factor: 16, every: 1}", "tricks.weight_ema={decay: 0.99999, every: 1000}"),
        ("tricks.repeated_aug={k: 8}", "train.batch_size=7"),
        ("data={source: synthetic, size: 1, train: 60, test: 4}", "tricks.random_crop={pad: 16}", "tricks.cutmix=on"),
        ("data={source: synthetic, size: 1, train: 60, test: 4}", "tricks.amplitude_mix=on", "tricks.affine=on"),
        ("data={source: synthetic, classes: 2, size: 8, train: 60, test: 4}", "loss=hinge_multi"),
    ],
    ids=lambda edits: " ".join(edits),
)
def test_it_trains_at_the_edges(edits):
    assert all(map(torch.isfinite, torch.tensor(losses(job_of(*edits), 2))))


def test_a_task_of_two_channels_reaches_no_policy_by_a_live_edit():
    job = job_of(WIDE % 2)
    assert job.task == Task(2, 8, 8, 10)
    with pytest.raises(ValueError, match="trivial_augment takes images of 1 or 3 channels"):
        job.rewire(edit(job.recipe, "tricks.trivial_augment", "on"))
