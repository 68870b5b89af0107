"""Triplets, pairs and cosines against loops over all of them, and what hangs on the network."""

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from choices import make
from conftest import TINY
from kit import DIGITS, epoch, images, parts
from test_loop import assert_same, stop_after, weights
from torch import Tensor, nn
from torch.nn import functional

from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.tricks.losses.classes import batches_by_class
from cockpit.tricks.losses.cosine import cosine_head


def units(labels: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(len(labels), 6, generator=draw, dtype=torch.float64)
    return functional.normalize(rows).requires_grad_(), torch.tensor(labels)


def apart(unit: Tensor, one: int, two: int) -> float:
    return math.dist(unit[one].tolist(), unit[two].tolist())


def net() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))


@pytest.mark.parametrize("margin", [0.0, 0.2, 1.5])
@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 2, 2, 0], [0, 0, 1, 2, 3], [4, 4, 4, 4, 1]])
def test_hard_triplets_are_the_worst_of_all_triples(labels: list[int], margin: float) -> None:
    unit, target = units(labels)
    count = range(len(labels))
    worst: dict[int, float] = {}
    for image, friend, stranger in itertools.product(count, count, count):
        if image != friend and labels[image] == labels[friend] and labels[image] != labels[stranger]:
            missing = max(0.0, margin + apart(unit, image, friend) - apart(unit, image, stranger))
            worst[image] = max(worst.get(image, 0.0), missing)
    loss = make("loss", "triplet", margin=margin).term(unit, target)
    assert loss.item() == pytest.approx(sum(worst.values()) / len(worst))


def test_random_triplets_are_the_next_ones_in_the_batch_by_the_formula_of_torch() -> None:
    labels = [0, 1, 0, 2, 1, 2, 3, 0]
    unit, target = units(labels)
    triples = []
    for image in range(8):
        ring = [(image + step) % 8 for step in range(1, 8)]
        friends = [other for other in ring if labels[other] == labels[image]]
        strangers = [other for other in ring if labels[other] != labels[image]]
        triples += [(image, friends[0], strangers[0])] if friends else []
    assert len(triples) == 7  # the only 3 has no friend
    loss = make("loss", "triplet", mining="random").term(unit, target)
    theirs = functional.triplet_margin_loss(*(unit[list(each)] for each in zip(*triples, strict=True)), margin=0.2, eps=0)
    torch.testing.assert_close(loss, theirs)


@pytest.mark.parametrize("mining", ["batch_hard", "random"])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0], [0, 1, 2], [5]])
def test_equal_features_and_lonely_classes_keep_the_gradient_finite(mining: str, labels: list[int]) -> None:
    raw = torch.ones(len(labels), 4, requires_grad=True)
    loss = make("loss", "triplet", mining=mining).term(functional.normalize(raw), torch.tensor(labels))
    loss.backward()
    assert raw.grad is not None and raw.grad.isfinite().all()
    assert loss.item() == pytest.approx(0.2 if labels == [0, 0, 1, 1] else 0.0)  # collapse: the loss is the margin


def test_a_triplet_that_keeps_its_margin_pulls_at_nothing() -> None:
    corners = torch.eye(4)[[0, 0, 1, 1]].requires_grad_()
    loss = make("loss", "triplet").term(corners, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == 0 and corners.grad is not None and not corners.grad.any()


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.4])
def test_cosine_pairs_are_those_of_torch_with_both_kinds_weighed_alike(margin: float) -> None:
    labels = [0, 1, 0, 2, 1, 1]
    unit, target = units(labels)
    kinds: dict[int, list[Tensor]] = {1: [], -1: []}
    for one, two in itertools.combinations(range(6), 2):
        sign = 1 if labels[one] == labels[two] else -1
        pair = functional.cosine_embedding_loss(unit[None, one], unit[None, two], torch.tensor([sign]), margin=margin)
        kinds[sign].append(pair)
    expected = sum(torch.stack(pairs).mean() / 2 for pairs in kinds.values())
    torch.testing.assert_close(make("loss", "cosine_pairs", margin=margin).term(unit, target), expected)


def test_pairs_of_one_kind_only() -> None:
    unit, _ = units([0, 0, 0])
    cosine = (unit @ unit.T)[[0, 0, 1], [1, 2, 2]]
    term = make("loss", "cosine_pairs").term
    torch.testing.assert_close(term(unit, torch.tensor([0, 0, 0])), (1 - cosine).mean() / 2)
    torch.testing.assert_close(term(unit, torch.tensor([0, 1, 2])), cosine.clamp(min=0).mean() / 2)


@pytest.mark.parametrize("sizes", [[64] * 9, [32, 32, 7], [200], [3, 1]])
def test_batches_hold_several_images_of_a_few_classes(sizes: list[int]) -> None:
    labels = torch.arange(600) % 20
    batches = batches_by_class(sizes, labels, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == sizes
    for batch, size in zip(batches, sizes, strict=True):
        _, counts = labels[batch].unique(return_counts=True)
        assert len(counts) == min(size, max(2, size // 8), 20)
        assert int(counts.max() - counts.min()) <= 1 and len(batch.unique()) == size
    if len(sizes) == 9:
        assert len(torch.cat(batches).unique()) > 450  # of 576 drawn


def test_a_class_smaller_than_its_part_is_shown_again_and_a_single_image_never() -> None:
    labels = torch.tensor([0, 0, 0, 1] + [2] * 20 + [5] * 20)
    (batch,) = batches_by_class([30], labels, torch.Generator().manual_seed(1))
    assert labels[batch].bincount().tolist() == [10, 0, 10, 0, 0, 10]
    assert (batch[labels[batch] == 0].bincount() >= 3).all() and len(batch[labels[batch] == 2].unique()) == 10
    assert labels[batch].tolist() != sorted(labels[batch].tolist())


def test_the_draw_of_an_epoch_is_its_own_and_repeats() -> None:
    plug = make("loss", "triplet").plug(parts(net()))
    labels, batches = torch.arange(100) % 10, torch.arange(96).split(32)
    first, again, later = (plug.sampler(batches, epoch(labels, number)) for number in (0, 0, 1))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, later, strict=True))


def test_triplets_need_two_classes_of_two() -> None:
    train = images(DIGITS, 11)  # class 0 has two images
    with pytest.raises(ValueError, match="two classes of two training images"):
        make("loss", "triplet").plug(parts(net(), train=train))


@pytest.mark.parametrize("name", ["triplet", "cosine_pairs"])
def test_the_term_is_added_on_what_the_head_was_given_in_training_alone(name: str) -> None:
    model, loss = net(), make("loss", name, ce_weight=0.5)
    plug = loss.plug(parts(model))
    criterion = plug.loss(functional.cross_entropy, DIGITS)
    x, y = torch.randn(12, 1, 8, 8), torch.arange(12) % 3
    assert criterion(model.eval()(x), y).item() == pytest.approx(0.5 * functional.cross_entropy(model(x), y).item())
    logits = model.train()(x)
    twin = copy.deepcopy(model).eval()  # an average that is scored must not be listened to
    twin(torch.randn(12, 1, 8, 8))
    total = criterion(logits, y)
    term = loss.term(functional.normalize(model[:3](x)), y)
    assert term.item() > 0
    torch.testing.assert_close(total, 0.5 * functional.cross_entropy(logits, y) + term)
    torch.testing.assert_close(criterion(logits[:5], y[:5]), 0.5 * functional.cross_entropy(logits[:5], y[:5]))
    total.backward()
    plug.close()
    model(torch.randn(12, 1, 8, 8))
    torch.testing.assert_close(criterion(logits, y), 0.5 * functional.cross_entropy(logits, y))


@pytest.mark.parametrize("name", ["triplet", "cosine", "cosine_pairs", "cross_entropy"])
def test_a_resumed_run_is_the_run_that_went_straight_through(name: str, fly: Any, runs: Any) -> None:
    knobs = {"cross_entropy": ", class_weight: balanced", "triplet": ", mining: random", "cosine": ", margin: 0.1"}
    text = TINY + f"loss: {{name: {name}{knobs.get(name, '')}}}\n"
    straight = fly(text)
    run = new_run(loads(text), runs, "broken", allow_code=False, command=[])
    stop_after(Flight(run, say=print), 8).fly()
    second = Flight(run, resume=True, say=print)
    second.fly()
    assert_same(weights(straight), weights(second))


def test_the_cosine_head_is_scaled_cosines_and_keeps_the_start() -> None:
    model = net()
    rows, state = model[3].weight, torch.get_rng_state()
    model = make("loss", "cosine", scale=8.0).model(model, DIGITS)
    assert torch.equal(torch.get_rng_state(), state)
    assert model[3].weight is rows and model[3].bias is None and isinstance(model[3], nn.Linear)
    x = torch.randn(5, 1, 8, 8)
    features = model[:3](x)
    expected = [[8 * functional.cosine_similarity(f, w, dim=0).item() for w in rows] for f in features]
    torch.testing.assert_close(model(x), torch.tensor(expected))
    with torch.autocast("cpu", torch.bfloat16):
        low = model[3](features)
    assert low.dtype is torch.float32
    torch.testing.assert_close(low, torch.tensor(expected))


@pytest.mark.parametrize(("scale", "floor"), [(1.0, 1.38), (16.0, 2e-7)])
def test_the_floor_of_ten_classes(scale: float, floor: float) -> None:
    simplex = functional.normalize(torch.eye(10, dtype=torch.float64) - 0.1)
    linear = nn.Linear(10, 10, dtype=torch.float64)
    linear.weight = nn.Parameter(simplex)
    criterion = make("loss", "cosine", scale=scale).build(DIGITS)
    best = criterion(cosine_head(linear, scale)(simplex), torch.arange(10)).item()
    assert best == pytest.approx(math.log(1 + 9 * math.exp(-scale * 10 / 9)))
    assert best == pytest.approx(floor, rel=0.2)
    for seed in range(20):  # nothing near it is better
        draw = torch.Generator().manual_seed(seed)
        linear.weight = nn.Parameter(simplex + 0.03 * torch.randn(10, 10, generator=draw, dtype=torch.float64))
        moved = simplex + 0.03 * torch.randn(10, 10, generator=draw, dtype=torch.float64)
        assert criterion(cosine_head(linear, scale)(moved), torch.arange(10)).item() > best


def test_the_cosine_margin_counts_in_training_only() -> None:
    loss = make("loss", "cosine", scale=10.0, margin=0.3)
    logits, target = torch.randn(6, 10), torch.arange(6)
    shifted = logits.clone()
    for row, true in enumerate(target):
        shifted[row, true] -= 3.0
    torch.testing.assert_close(loss.loss(loss.build(DIGITS), DIGITS)(logits, target), functional.cross_entropy(shifted, target))
    assert loss.build(DIGITS) is functional.cross_entropy and loss.traits == ("index_only",)
    plain = make("loss", "cosine")
    assert plain.loss(functional.cross_entropy, DIGITS) is functional.cross_entropy and plain.traits == ()


def test_a_head_of_zeros_has_no_direction() -> None:
    model = net()
    nn.init.zeros_(model[3].weight)
    with pytest.raises(ValueError, match=r"take another model\.init"):
        make("loss", "cosine").model(model, DIGITS)
