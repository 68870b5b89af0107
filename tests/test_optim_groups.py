"""What treats some weights differently: trust ratios, Muon's split, rates by layer, rates of norm biases."""

import math
from typing import Any

import pytest
import timm
import timm.optim
import torch
from choices import make
from choices import net as network
from kit import DIGITS, parts
from torch import nn

from cockpit.tricks.bias_lr_scale import BiasLrScale
from cockpit.tricks.layer_decay import LayerDecay, depths
from cockpit.tricks.no_decay_1d import NoDecay1d


def pair(seed: int = 0) -> list[nn.Parameter]:
    """A matrix and a vector with gradients."""
    draw = torch.Generator().manual_seed(seed)
    weights = [nn.Parameter(torch.randn(shape, generator=draw)) for shape in ((6, 4), (6,))]
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=draw)
    return weights


def moves(name: str, groups: str = "one", **knobs: Any) -> tuple[list[nn.Parameter], list[torch.Tensor]]:
    """The weights before, and the first step of each."""
    weights = pair()
    before = [weight.detach().clone() for weight in weights]
    split = [{"params": weights}]
    if groups == "no_decay_1d":
        split = NoDecay1d().params(split, nn.Identity())
    make("optimizer", name, **knobs).build(split).step()
    return pair(), [weight.detach() - old for weight, old in zip(weights, before, strict=True)]


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("groups", ["one", "no_decay_1d"])
def test_lars_steps_by_a_share_of_the_weights_whatever_the_decay(decay: float, groups: str) -> None:
    (matrix, vector), (step, vector_step) = moves("lars", groups, lr=2.0, weight_decay=decay)
    assert matrix.grad is not None and vector.grad is not None
    ratio = 0.001 * matrix.norm() / (matrix.grad.norm() + decay * matrix.norm())
    torch.testing.assert_close(step, -2.0 * ratio * (matrix.grad + decay * matrix))
    own = decay if groups == "one" else 0.0
    torch.testing.assert_close(vector_step, -2.0 * (vector.grad + own * vector), msg="a vector takes a plain sgd step")


def test_without_decay_the_librarys_lars_is_plain_sgd_and_ours_is_not() -> None:
    (matrix, _), (step, _) = moves("lars", weight_decay=0.0)
    theirs = pair()
    timm.optim.Lars(theirs, lr=1.0, momentum=0.9, weight_decay=0.0).step()
    assert matrix.grad is not None
    torch.testing.assert_close((theirs[0] - matrix).norm(), matrix.grad.norm())
    torch.testing.assert_close(step.norm(), 0.001 * matrix.norm())
    plain = moves("lars", weight_decay=0.0, always_adapt=False)[1][0]
    torch.testing.assert_close(plain, theirs[0] - matrix)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_lambs_step_is_as_long_as_the_weights_times_the_rate(decay: float, clip: float | None) -> None:
    (matrix, vector), (step, vector_step) = moves("lamb", lr=0.01, weight_decay=decay, max_grad_norm=clip)
    assert matrix.grad is not None and vector.grad is not None
    whole = math.hypot(float(matrix.grad.norm()), float(vector.grad.norm()))
    scale = 1.0 if clip is None else min(1.0, clip / whole)

    def adam(grad: torch.Tensor) -> torch.Tensor:
        return (scale * grad) / ((scale * grad).abs() + 1e-6)

    update = adam(matrix.grad) + decay * matrix
    torch.testing.assert_close(step, -0.01 * matrix.norm() / update.norm() * update)
    torch.testing.assert_close(step.norm(), 0.01 * matrix.norm())
    torch.testing.assert_close(vector_step, -0.01 * (adam(vector.grad) + decay * vector), msg="a vector takes an adamw step")


@pytest.mark.parametrize(("name", "theirs"), [("lars", timm.optim.Lars), ("lamb", timm.optim.Lamb)])
def test_matrices_with_decay_follow_the_library_bit_for_bit(name: str, theirs: Any) -> None:
    ends = []
    for ours in (True, False):
        weight, target = nn.Parameter(torch.linspace(-1, 1, 24).view(6, 4)), torch.eye(6, 4)
        member = make("optimizer", name)
        optimizer = member.build([{"params": [weight]}]) if ours else theirs([weight], **member.options())
        for _ in range(6):
            optimizer.zero_grad()
            (weight - target).square().sum().backward()
            optimizer.step()
        ends.append(weight.detach())
    assert torch.equal(*ends)


def test_the_hidden_decay_comes_back_and_may_be_edited() -> None:
    weights = pair()
    optimizer = make("optimizer", "lars", weight_decay=0.1).build([{"params": weights}])
    optimizer.step()
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.1]
    assert [group["vectors"] for group in optimizer.param_groups] == [False, True]


def test_muon_makes_the_step_of_a_matrix_orthogonal() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(16, 8))
    weight.grad = torch.randn(16, 8) @ torch.diag(torch.logspace(0, 1, 8))
    make("optimizer", "muon", lr=0.02).build([{"params": [weight]}]).step()
    values = torch.linalg.svdvals(weight.detach()) / (0.02 * 0.2 * 16**0.5)
    spread = torch.linalg.svdvals(weight.grad)
    assert spread[0] / spread[-1] > 5
    assert float(values.min()) > 0.6 and float(values.max()) < 1.4


def test_muon_leaves_head_embeddings_and_vectors_to_adamw() -> None:
    torch.manual_seed(0)
    model = network("small_cnn", widths=(8, 16), norm="batch")
    model.table = nn.Embedding(12, 16)
    muon = make("optimizer", "muon", weight_decay=0.1)
    groups = muon.params([{"params": list(model.parameters()), "lr_scale": 0.5}], model)
    assert [group.get("use_fallback", False) for group in groups] == [False, True]
    assert {id(weight) for weight in groups[1]["params"]} == {
        id(weight) for weight in (*model.head.parameters(), *model.table.parameters())
    }
    optimizer = muon.build(groups)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    for name, weight in model.named_parameters():
        twin = nn.Parameter(before[name].clone())
        twin.grad = weight.grad
        torch.optim.AdamW([twin], lr=0.02 * 0.5 * 0.05, betas=(0.9, 0.95), weight_decay=0.1, eps=1e-7).step()
        by_adamw = torch.allclose(weight, twin, rtol=1e-4, atol=1e-7)
        assert by_adamw is (weight.ndim == 1 or name.startswith(("head", "table")) or weight.shape[1] == 1), name


def test_bias_lr_scale_takes_the_biases_of_norms_alone() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(16, 3)
    )
    trick = BiasLrScale(scale=64.0).plug(parts(model))
    groups = NoDecay1d().params(trick.params([{"params": list(model.parameters())}], model), model)
    sgd = make("optimizer", "sgd", lr=0.1, weight_decay=0.64).build(groups)
    fast = [group for group in sgd.param_groups if group["lr"] != 0.1]
    assert [group["lr"] for group in fast] == pytest.approx([6.4])
    assert {id(weight) for weight in fast[0]["params"]} == {id(model[1].bias), id(model[3].bias)}
    assert sum(len(group["params"]) for group in sgd.param_groups) == len(list(model.parameters()))
    alone = make("optimizer", "sgd", lr=0.1, weight_decay=0.64).build(
        trick.params([{"params": list(model.parameters())}], model)
    )
    assert [group["weight_decay"] for group in alone.param_groups] == pytest.approx([0.64, 0.01])
    assert [group["lr"] * group["weight_decay"] for group in alone.param_groups] == pytest.approx([0.064, 0.064])


def test_bias_lr_scale_refuses_a_network_without_norms() -> None:
    with pytest.raises(ValueError, match="no norm layer with a bias"):
        BiasLrScale().plug(parts(network("mlp", widths=(8,), norm="none")))


def scales(model: nn.Module, decay: float = 0.5) -> dict[str, float]:
    """The factor on the rate of each parameter."""
    trick = LayerDecay(decay=decay).plug(parts(model))
    groups = trick.params([{"params": list(model.parameters())}], model)
    by_id = {id(weight): group["lr_scale"] for group in groups for weight in group["params"]}
    return {name: by_id[id(weight)] for name, weight in model.named_parameters()}


def test_layer_decay_orders_a_sequence_by_its_layers() -> None:
    seen = scales(network("small_cnn", widths=(4, 8), convs=1, activation="prelu", norm="batch"))
    layers = {name.split(".")[0].removesuffix("_norm").removesuffix("_act"): scale for name, scale in seen.items()}
    assert layers == {"conv1_1": 0.25, "conv2_1": 0.5, "head": 1.0}
    assert len({name.split(".")[0] for name in seen}) == 7


def test_layer_decay_takes_each_residual_block_as_a_layer() -> None:
    seen = scales(network("resnet", depth=18, width=0.125))
    blocks = {name.split(".")[0].removesuffix("_norm"): scale for name, scale in seen.items()}
    assert list(blocks.values()) == [0.5**power for power in range(9, -1, -1)]


def test_layer_decay_orders_a_transformer_by_its_blocks() -> None:
    seen = scales(network("vit", patch=4, dim=16, depth=3, heads=2))
    assert {seen["token"], seen["position"], seen["patches.weight"]} == {0.5**4}
    assert [seen[f"blocks.{block}.fc1.weight"] for block in range(3)] == [0.5**3, 0.5**2, 0.5]
    assert seen["head.weight"] == 1.0


@pytest.mark.parametrize("wrapped", [False, True])
def test_layer_decay_is_timms_for_its_networks(wrapped: bool) -> None:
    theirs = timm.create_model(
        "vit_tiny_patch16_224", depth=2, img_size=16, patch_size=8, num_classes=10, embed_dim=12, num_heads=2
    )
    model = nn.Sequential(nn.Identity(), theirs) if wrapped else theirs
    want = {
        id(weight): group["lr_scale"]
        for group in timm.optim.param_groups_layer_decay(theirs, layer_decay=0.5)
        for weight in group["params"]
    }
    seen = scales(model)
    assert {id(weight): seen[name] for name, weight in model.named_parameters()} == want


def test_layer_decay_multiplies_a_rate_that_is_scaled_already_and_leaves_frozen_weights_out() -> None:
    model = network("mlp", widths=(8, 8), norm="none")
    groups = LayerDecay(decay=0.5).params([{"params": list(model.fc1.parameters()), "lr_scale": 8.0, "note": 1}], model)
    assert [(group["lr_scale"], group["note"]) for group in groups] == [(2.0, 1)]


def test_layer_decay_refuses_what_it_does_not_know() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 2)

    with pytest.raises(ValueError, match="does not know the order of the layers of Odd"):
        LayerDecay().plug(parts(Odd(), DIGITS))
    with pytest.raises(ValueError, match="Sequential"):
        depths(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
