"""Parameters, arithmetic and memory of a forward pass, against sums by hand."""

import pytest
import torch
from choices import make, net
from torch import nn

from cockpit.nets.count import count
from cockpit.travel import Task

IMAGE = Task(1, 8, 8, 10)


def test_a_multilayer_perceptron_by_hand() -> None:
    seen = count(net("mlp", widths=(16,), norm="none"), IMAGE)
    assert seen.parameters == seen.trainable == 64 * 16 + 16 + 16 * 10 + 10
    assert seen.flop == 2 * (64 * 16 + 16 * 10)
    assert seen.activations == 4 * (16 + 16 + 10)  # the flattened image is no new memory


def test_a_convolution_by_hand() -> None:
    seen = count(net("small_cnn", 3, 8, widths=(4,), convs=1, norm="none"), Task(3, 8, 8, 10))
    assert seen.flop == 2 * (64 * 3 * 9 * 4 + 4 * 10)
    assert seen.activations == 4 * (2 * 4 * 64 + 4 + 10)


def test_attention_is_counted() -> None:
    seen = count(net("vit", dim=12, depth=2, heads=3, mlp_ratio=2), IMAGE)
    tokens, dim, hidden = 5, 12, 24
    block = tokens * dim * (3 * dim + dim + 2 * hidden) + 2 * tokens * tokens * dim
    assert seen.flop == 2 * (4 * 16 * dim + 2 * block + dim * 10)


def test_the_attention_that_torch_fuses_is_counted_too() -> None:
    layer = nn.TransformerEncoderLayer(12, 3, 24, batch_first=True)
    network = nn.Sequential(nn.Flatten(2), nn.Linear(64, 12), layer, nn.Flatten(), nn.Linear(12, 10))
    assert count(network, IMAGE).flop == 2 * (64 * 12 + 12 * (3 * 12 + 12 + 2 * 24) + 2 * 12 + 12 * 10)


def test_frozen_weights_are_not_trainable() -> None:
    network = net("mlp", widths=(16,), norm="none")
    network.head.requires_grad_(False)
    assert count(network, IMAGE).trainable == 64 * 16 + 16


@pytest.mark.parametrize("name", ["small_cnn", "deit", "wide_resnet"])
def test_the_network_is_left_as_it_was(name: str) -> None:
    network = make("model", name).build(IMAGE)
    network.get_submodule("head").eval()  # as a frozen part would be
    before = {key: value.clone() for key, value in network.state_dict().items()}
    random, hooks = torch.get_rng_state(), [len(layer._forward_hooks) for layer in network.modules()]
    count(network, IMAGE)
    assert network.training and not network.head.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert [len(layer._forward_hooks) for layer in network.modules()] == hooks


def test_a_network_that_fails_is_left_as_it_was_too() -> None:
    network = net("vit")
    with pytest.raises(RuntimeError):
        count(network, Task(1, 16, 16, 10))
    assert network.training and not any(layer._forward_hooks for layer in network.modules())
