"""The whitening convolution: its filters against plain loops, its place in the network, what learns and what does not."""

import numpy as np
import pytest
import torch
from choices import net
from kit import COLOUR, DIGITS, images, moment, parts
from test_loop import assert_same, stop_after, weights
from torch import Tensor, nn

from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.nets.places import stem_of
from cockpit.nets.whitening import first_activation, whitening_filters
from cockpit.recipe import loads
from cockpit.travel import Task
from cockpit.tricks.whitening_conv import WhiteningConv

CNN = """
data: {source: digits, limit: 200}
model: {name: small_cnn, widths: [8], convs: 1}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 0.01}
schedule: constant
tricks: {whitening_conv: {bias_epochs: 1}}
train: {epochs: 2, batch_size: 32, device: cpu, precision: fp32}
"""


def smooth(task: Task, count: int = 40) -> Tensor:
    """Noise whose neighbours resemble each other, as those of pictures do."""
    noise = torch.randn(count, task.channels, task.height, task.width, generator=torch.Generator().manual_seed(1))
    return nn.functional.avg_pool2d(noise, 3, stride=1, padding=1) + noise.mean(dim=1, keepdim=True)


def patches(x: Tensor, k: int) -> np.ndarray:
    """Every k x k patch, flattened channel by channel."""
    height, width = x.shape[2] - k + 1, x.shape[3] - k + 1
    rows = [x[:, :, i : i + k, j : j + k].reshape(len(x), -1) for i in range(height) for j in range(width)]
    return torch.cat(rows).double().numpy()


@pytest.mark.parametrize(("task", "k", "filters"), [(COLOUR, 2, 24), (DIGITS, 2, 8), (COLOUR, 3, 54), (DIGITS, 3, 18)])
def test_filter_outputs_are_uncorrelated_and_of_variance_one(task: Task, k: int, filters: int) -> None:
    x = smooth(task)
    found = whitening_filters(x.split(7), k, eps=1e-9)
    assert found.shape == (filters, task.channels, k, k)
    assert torch.equal(found[: filters // 2], -found[filters // 2 :])
    out = nn.functional.conv2d(x.double(), found[: filters // 2].double()).transpose(0, 1).flatten(1)
    torch.testing.assert_close(out @ out.T / out.shape[1], torch.eye(filters // 2, dtype=torch.float64), atol=1e-4, rtol=0)


def test_filters_are_principal_directions_over_the_root_of_their_variance() -> None:
    x, eps = smooth(COLOUR), 0.01
    rows = patches(x, 2)
    variances, directions = np.linalg.eigh(rows.T @ rows / len(rows))
    found = whitening_filters([x], 2, eps)[:12].flatten(1).double().numpy()
    for row, place in zip(found, np.argsort(variances)[::-1], strict=True):
        assert np.linalg.norm(row) == pytest.approx((variances[place] + eps) ** -0.5, rel=1e-5)
        assert abs(row @ directions[:, place]) == pytest.approx(np.linalg.norm(row), rel=1e-5)


def test_flat_images_give_no_filter_without_bound() -> None:
    found = whitening_filters([torch.full((4, 1, 8, 8), 0.5)], 2, eps=0.01)
    assert found.isfinite().all() and float(found.flatten(1).norm(dim=1).max()) <= 0.01**-0.5 * 1.0001


def whitened(network: nn.Module, task: Task = DIGITS, **knobs: int) -> tuple[nn.Module, object]:
    plug = WhiteningConv(**knobs).plug(parts(network, task, images(task, 40)))
    return plug.model(network, task), plug


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("small_cnn", {"norm": "none"}),
        ("small_cnn", {}),
        ("resnet", {"depth": 20}),
        ("vit", {}),
        ("lenet", {}),
    ],
)
def test_networks_that_begin_with_a_convolution_keep_their_shapes(name: str, knobs: dict[str, object], k: int) -> None:
    plain, network = (net(name, 3, 16, **knobs) for _ in range(2))
    network, _ = whitened(network, COLOUR, k=k)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    changed = {key for key, value in plain.state_dict().items() if shapes.get(key) != value.shape}
    assert {key.partition(".")[0] for key in changed} == {stem_of(plain).name}
    assert network(torch.randn(2, 3, 16, 16)).shape == (2, 10)


def test_what_follows_the_filters_is_the_networks_own() -> None:
    network, _ = whitened(net("small_cnn", activation="celu", norm="none", widths=(8,)))
    stem = network.conv1_1
    assert [type(layer) for layer in stem] == [nn.ZeroPad2d, nn.Conv2d, nn.CELU, nn.Conv2d]
    assert stem.act is not network.conv1_1_act and stem.act.alpha == 0.3
    assert stem.conv.bias is not None and not stem.conv.bias.any()
    assert float(stem.conv.weight.detach().std()) == pytest.approx((2 / 72) ** 0.5, rel=0.1)
    x = torch.randn(2, 1, 8, 8)
    assert stem.whiten(stem.pad(x)).shape == (2, 8, 8, 8)
    inside = nn.functional.conv2d(x, stem.whiten.weight)
    torch.testing.assert_close(stem.whiten(stem.pad(x))[:, :, :7, :7], inside)


def test_airbench_takes_the_filters_where_it_has_a_place_for_them() -> None:
    plain = net("airbench", 3, 16)
    shapes = {key: value.shape for key, value in plain.state_dict().items()}
    network, plug = whitened(net("airbench", 3, 16), COLOUR, bias_epochs=1)
    assert {key: value.shape for key, value in network.state_dict().items()} == shapes
    wanted = net("small_cnn", 3, 16, widths=(8,))
    wanted, _ = whitened(wanted, COLOUR)
    assert torch.equal(network.conv1.weight, wanted.conv1_1.whiten.weight)
    assert not network.conv1.weight.requires_grad and network.conv1.bias.requires_grad and not network.conv1.bias.any()
    plug.weights(network, moment(9, per_epoch=10))
    assert not network.conv1.bias.requires_grad
    three, _ = whitened(net("airbench", 3, 16), COLOUR, k=3)
    assert isinstance(three.conv1, nn.Sequential)


def test_a_network_without_activation_gets_none() -> None:
    assert isinstance(first_activation(net("small_cnn", activation="identity")), nn.Identity)
    assert type(first_activation(net("small_cnn", activation="binary_step"))).__name__ == "BinaryStep"


def test_a_network_that_begins_otherwise_is_refused() -> None:
    with pytest.raises(
        ValueError, match="the first layer, fc1, is no plain convolution of the image; small_cnn begins with one"
    ):
        whitened(net("mlp"))


def test_the_filters_never_learn_and_the_bias_does_for_its_epochs() -> None:
    network, plug = whitened(net("small_cnn", widths=(8,)), bias_epochs=2)
    whiten = network.conv1_1.whiten
    assert not whiten.weight.requires_grad and whiten.bias.requires_grad
    for step in range(20):
        assert whiten.bias.requires_grad
        plug.weights(network, moment(step, per_epoch=10))
    assert not whiten.bias.requires_grad


def test_a_bias_without_epochs_is_in_no_group() -> None:
    network, _ = whitened(net("small_cnn", widths=(8,)), bias_epochs=0)
    assert not any(weight.requires_grad for weight in network.conv1_1.whiten.parameters())


@pytest.mark.parametrize("stop", [3, 8])
def test_a_resume_before_and_after_the_bias_is_frozen_equals_straight_through(stop: int, fly, runs) -> None:
    straight = fly(CNN)
    assert straight.end.state == "finished", straight.end.reason
    run = new_run(loads(CNN), runs, "broken", allow_code=False, command=[])
    stop_after(Flight(run, say=print), stop).fly()
    second = Flight(run, resume=True, say=print)
    second.fly()
    assert_same(weights(straight), weights(second))


def test_the_bias_stands_still_once_it_is_frozen(fly) -> None:
    short, long = fly(CNN, "train.epochs=1"), fly(CNN, "train.epochs=3")
    one, three = weights(short), weights(long)
    assert one["conv1_1.whiten.bias"].any()
    for name in ("conv1_1.whiten.bias", "conv1_1.whiten.weight"):
        assert torch.equal(one[name], three[name])
    assert not torch.equal(one["conv1_1.conv.weight"], three["conv1_1.conv.weight"])
    groups = long.job.optimizer.param_groups
    assert all(weight is not long.job.model.conv1_1.whiten.weight for group in groups for weight in group["params"])
