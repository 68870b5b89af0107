"""Penalties, decay written by hand, and early stopping, against optimizers, autograd and formulas."""

import copy
import math

import pytest
import torch
from conftest import TINY
from kit import DIGITS, batch, moment, parts
from test_loop import assert_same, weights
from torch import nn
from torch.nn import functional

from cockpit.recipe import RecipeError, cautions, loads
from cockpit.travel import Batch, Outcome, Verdict
from cockpit.tricks.decay_by_hand import DecayByHand
from cockpit.tricks.early_stopping import EarlyStopping
from cockpit.tricks.gradient_penalty import GradientPenalty
from cockpit.tricks.penalties import L1, L2, LpNorm

FLAT = Batch(torch.randn(16, 5, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3, torch.arange(16))


def loss_of(trick, model, given=FLAT):
    """The loss with the trick, and the network's own."""

    def inner(batch, at):
        logits = model(batch.x)
        return Outcome(functional.cross_entropy(logits, batch.y), logits)

    objective = trick.plug(parts(model)).objective(inner, model, functional.cross_entropy)
    return objective(given, moment()).loss, inner(given, moment()).loss


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


@pytest.mark.parametrize("biases", [False, True])
def test_l2_adds_lambda_times_the_weight_to_its_gradient(biases):
    model = net()
    whole, plain = loss_of(L2(lam=0.3, biases=biases), model)
    chosen = [weight for weight in model.parameters() if biases or weight.ndim == 2]
    assert (whole - plain).item() == pytest.approx(0.15 * sum(weight.square().sum().item() for weight in chosen), rel=1e-5)
    found = torch.autograd.grad(whole - plain, list(model.parameters()), allow_unused=True)
    for weight, gradient in zip(model.parameters(), found, strict=True):
        wanted = 0.3 * weight if biases or weight.ndim == 2 else torch.zeros_like(weight)
        torch.testing.assert_close(
            torch.zeros_like(weight) if gradient is None else gradient, wanted.detach(), atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("p", [1.0, 1.5, 3.0])
def test_a_power_of_the_weights_is_the_librarys_norm(p):
    model = net()
    with torch.no_grad():
        model[0].weight[0] = 0
    whole, plain = loss_of(LpNorm(p=p, lam=0.01), model)
    wanted = 0.01 * sum(torch.linalg.vector_norm(layer.weight, p).item() ** p for layer in (model[0], model[2]))
    assert (whole - plain).item() == pytest.approx(wanted, rel=1e-4)
    whole.backward()
    assert model[0].weight.grad.isfinite().all(), "at 0 too"
    l1, _ = loss_of(L1(lam=0.01), model)
    assert (l1.item() == pytest.approx(whole.item())) == (p == 1)


def test_frozen_weights_are_not_penalised():
    model = net().requires_grad_(False)
    whole, plain = loss_of(L2(lam=1.0), model)
    assert whole.item() == plain.item()


def test_the_proximal_step_is_soft_thresholding_and_leaves_zeros():
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -0.5], [0.01, -0.02]]))
        model.bias.fill_(0.01)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    plug = L1(lam=0.1, proximal=True).plug(parts(model))
    steps = []
    plug.update(lambda again: steps.append(again), optimizer)(len)
    assert steps == [len], "the optimizer steps first"
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[0.48, -0.48], [0.0, 0.0]]))
    assert (model.weight == 0).sum() == 2 and torch.equal(model.bias.detach(), torch.full((2,), 0.01))


def zeros(flight):
    return {name: int((value == 0).sum()) for name, value in weights(flight).items() if value.ndim == 2}


def test_only_the_proximal_form_makes_exact_zeros(fly):
    edits = ("optimizer={name: sgd, lr: 0.1}", "train.epochs=6")
    proximal = fly(TINY, *edits, "tricks.l1={lam: 0.05, proximal: on}")
    in_loss = fly(TINY, *edits, "tricks.l1={lam: 0.05}")
    none = {"fc1.weight": 0, "head.weight": 0}
    assert zeros(proximal)["fc1.weight"] > 300 and zeros(in_loss) == zeros(fly(TINY, *edits)) == none


SGD, ADAMW = "optimizer={name: sgd, lr: 0.1, momentum: 0.9, ", "optimizer={name: adamw, lr: 0.01, "
LAM = 0.01


@pytest.mark.parametrize(("optimizer", "form"), [(SGD, "loss"), (ADAMW, "decoupled")])
@pytest.mark.parametrize("more", ["seed=0", "tricks.no_decay_1d=on", "train.probe_every=1"])
def test_decay_by_hand_is_the_optimizers_bit_for_bit(fly, optimizer, form, more):
    built_in = fly(TINY, optimizer + f"weight_decay: {LAM}}}", more)
    ours = fly(TINY, optimizer + "weight_decay: 0}", f"tricks.decay_by_hand={{lam: {LAM}, form: {form}}}", more)
    over = fly(TINY, optimizer + "weight_decay: 0.5}", f"tricks.decay_by_hand={{lam: {LAM}, form: {form}}}", more)
    assert_same(weights(built_in), weights(ours))
    assert_same(weights(built_in), weights(over))
    assert not torch.equal(weights(ours)["fc1.weight"], weights(fly(TINY, optimizer + "weight_decay: 0}"))["fc1.weight"])
    decays = {group["weight_decay"] for group in over.job.optimizer.param_groups}
    assert decays == ({0.5, 0.0} if "no_decay" in more else {0.5}), "its own decay is still there for the day ours goes off"


@pytest.mark.parametrize(("momentum", "same"), [(0.0, True), (0.9, False)])
def test_the_two_forms_are_one_for_plain_sgd_only(momentum, same):
    ends = []
    for form in ("loss", "decoupled", "sgd"):
        model = net().double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum, weight_decay=0.05 * (form == "sgd"))
        plug = DecayByHand(lam=0.05, form="loss" if form == "sgd" else form).plug(parts(model))
        step = optimizer.step if form == "sgd" else plug.update(lambda again, it=optimizer: it.step(), optimizer)
        for _ in range(20):
            optimizer.zero_grad()
            functional.cross_entropy(model(FLAT.x.double()), FLAT.y).backward()
            if form != "sgd":
                plug.grads(gradients_of(optimizer), moment())
            step() if form == "sgd" else step(None)
        ends.append(model[0].weight.detach())
    assert torch.equal(ends[0], ends[2])
    assert torch.allclose(ends[1], ends[2], rtol=0, atol=1e-13) == same


def gradients_of(optimizer):
    from cockpit.travel import Gradients

    return Gradients([weight.grad for group in optimizer.param_groups for weight in group["params"]], None)


def test_the_norm_that_is_measured_contains_the_decay(fly):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    functional.cross_entropy(model(FLAT.x), FLAT.y).backward()
    plug = DecayByHand(lam=0.5, form="loss").plug(parts(model))
    plug.update(lambda again: None, optimizer)
    seen = plug.grads(gradients_of(optimizer)._replace(norm=torch.tensor(1.0)), moment())
    assert seen.norm.item() == pytest.approx(math.sqrt(sum(each.square().sum().item() for each in seen.tensors)), rel=1e-5)


def test_coupled_penalties_warn_beside_adam():
    said = cautions(loads(TINY, edits=["optimizer=adam", "tricks={l1: on, lp_norm: on}"]))
    assert sum("divides" in each for each in said) == 2


def soft(y, classes=3):
    return 0.8 * functional.one_hot(y, classes).float() + 0.2 / classes


@pytest.mark.parametrize("hard", [True, False])
def test_the_penalty_of_a_linear_network_is_its_formula(hard):
    """The gradient of sum_c q_c log p_c by the image is W^T (q - p)."""
    model = nn.Linear(5, 3)
    given = FLAT if hard else FLAT._replace(y=soft(FLAT.y))
    whole, plain = loss_of(GradientPenalty(lam=2.0), model, given)
    target = soft(FLAT.y) if not hard else functional.one_hot(FLAT.y, 3).float()
    rows = (target - model(FLAT.x).softmax(1)) @ model.weight
    wanted = 2 * rows.square().sum(1).mean()
    torch.testing.assert_close(whole - plain, wanted, rtol=1e-4, atol=1e-6)
    for found, formula in zip(
        torch.autograd.grad(whole - plain, model.weight), torch.autograd.grad(wanted, model.weight), strict=True
    ):
        torch.testing.assert_close(found, formula, rtol=1e-4, atol=1e-5)


def test_the_penalty_of_the_weights_is_the_squared_norm_of_their_gradient():
    """For a linear network the gradient is (p - q)^T x / B."""
    model = nn.Linear(5, 3)
    whole, plain = loss_of(GradientPenalty(lam=2.0, of="params"), model)
    error = (model(FLAT.x).softmax(1) - functional.one_hot(FLAT.y, 3)) / len(FLAT.x)
    wanted = 2 * ((error.T @ FLAT.x).square().sum() + error.sum(0).square().sum())
    torch.testing.assert_close(whole - plain, wanted, rtol=1e-4, atol=1e-6)
    (found,), (formula,) = (torch.autograd.grad(value, model.weight) for value in (whole - plain, wanted))
    torch.testing.assert_close(found, formula, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("of", ["input", "params"])
def test_the_penalty_agrees_with_finite_differences(of):
    """The gradient of the whole loss by one weight of a small tanh network, in double precision."""
    model = net().double()
    given = FLAT._replace(x=FLAT.x.double())

    def at(shift):
        twin = copy.deepcopy(model) if shift else model
        with torch.no_grad():
            twin[0].weight[1, 2] += shift
        return loss_of(GradientPenalty(lam=1.0, of=of), twin, given)[0]

    (gradient,) = torch.autograd.grad(at(0.0), model[0].weight)
    slope = (at(1e-5) - at(-1e-5)).item() / 2e-5
    assert gradient[1, 2].item() == pytest.approx(slope, rel=1e-6)


def test_the_extra_pass_leaves_no_trace():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10)).train()
    given = batch()
    with torch.no_grad():
        torch.manual_seed(1)
        wanted = model(given.x)
        after = torch.rand(1)
    mean, count = model[1].running_mean.clone(), model[1].num_batches_tracked.clone()
    seen = []

    def inner(given, at):
        seen.append((torch.get_rng_state(), model[1].running_mean.clone(), model[1].num_batches_tracked.clone()))
        logits = model(given.x)
        return Outcome(functional.cross_entropy(logits, given.y), logits)

    objective = GradientPenalty().plug(parts(model)).objective(inner, model, functional.cross_entropy)
    torch.manual_seed(1)
    outcome = objective(given, moment())
    assert torch.equal(outcome.logits, wanted), "the same dropout as without the penalty"
    assert torch.equal(torch.rand(1), after)
    assert torch.equal(seen[0][1], mean) and torch.equal(seen[0][2], count)
    assert model[1].track_running_stats and not given.x.requires_grad


def test_transformers_are_penalised_too():
    """The fast attention kernel has no second derivative; the one that is asked for has."""
    from choices import make

    model = make("model", "vit", patch=4, dim=16, depth=1, heads=2, mlp_ratio=2.0).build(DIGITS)
    whole, _ = loss_of(GradientPenalty(), model, batch(count=4))
    whole.backward()
    assert model.blocks[0].attention.qkv.weight.grad.isfinite().all()
    x = batch(count=4).x.requires_grad_()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION), pytest.raises(RuntimeError):
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        slope.sum().backward()


def stops(trick, verdicts):
    plug, said = trick.plug(parts(nn.Identity())), []
    for improved, loss in verdicts:
        said.append(plug.verdict(Verdict(improved, loss, 0)))
        saved, plug = plug.state_dict(), trick.plug(parts(nn.Identity()))
        plug.load_state_dict(saved)
    assert all(verdict.keep_best for verdict in said)
    return [bool(verdict.stop) for verdict in said]


def test_early_stopping_waits_for_the_score_or_for_the_loss():
    falling = [(True, 1.0), (False, 0.9), (False, 0.8), (True, 0.85), (True, math.nan), (True, 0.81)]
    assert stops(EarlyStopping(patience=2), falling) == [False, False, True, False, False, False]
    by_loss = EarlyStopping(patience=2, metric="val_loss")
    assert stops(by_loss, falling) == [False, False, False, False, True, True]


def test_a_fall_of_no_more_than_min_delta_is_none():
    slow = [(True, loss / 8) for loss in (8, 7, 6, 5, 4)]
    assert stops(EarlyStopping(patience=1, metric="val_loss", min_delta=0.125), slow) == [False, True, False, True, False]
    with pytest.raises(RecipeError, match="say metric: val_loss"):
        loads(TINY, edits=["tricks.early_stopping={min_delta: 0.1}"])


def test_early_stopping_warns_beside_schedules_that_end_low():
    def said(schedule):
        return any(
            "never sees" in each for each in cautions(loads(TINY, edits=["tricks.early_stopping=on", f"schedule={schedule}"]))
        )

    assert all(said(name) for name in ("cosine", "one_cycle", "wsd", "linear"))
    assert not any(said(name) for name in ("constant", "step", "plateau", "inv_sqrt"))
