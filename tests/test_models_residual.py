"""Residual networks and those of the speed contests: published sizes, plain twins, and where their branches are."""

import pytest
import torch
from choices import count, net
from torch import nn
from torch.nn import functional as F

from cockpit.nets.count import count as size
from cockpit.nets.resnet import Residual
from cockpit.travel import Task

CIFAR = Task(3, 32, 32, 10)


@pytest.mark.parametrize(
    ("name", "knobs", "known"),
    [
        ("wide_resnet", {"depth": 16, "k": 4}, 2_748_890),  # table 4 of the paper: 2.7 million
        ("wide_resnet", {"depth": 40, "k": 2}, 2_243_546),  # 2.2 million
        ("wide_resnet", {"depth": 16, "k": 8}, 10_961_370),  # 11.0 million
        ("wide_resnet", {"depth": 22, "k": 8}, 17_158_106),  # 17.2 million
        ("wide_resnet", {"depth": 28, "k": 10}, 36_479_194),  # 36.5 million
        ("page9", {}, 6_573_120),  # as the contest's code prints it
        ("airbench", {}, 1_972_792),  # 1.97 million in the paper
        ("resnet", {"depth": 18, "stem": "imagenet"}, 11_181_642),  # torchvision's, for 10 classes
    ],
)
def test_published_sizes(name: str, knobs: dict[str, object], known: int) -> None:
    assert count(net(name, 3, 32, **knobs)) == known


@pytest.mark.parametrize(
    ("knobs", "epochs", "published"),
    [
        ({}, 9.9, 0.36),
        ({"widths": (128, 384, 384)}, 15, 1.4),
        ({"widths": (128, 384, 512), "convs": 3}, 37, 4.9),
    ],
)
def test_airbench_costs_what_its_authors_say(knobs: dict[str, object], epochs: float, published: float) -> None:
    forward = size(net("airbench", 3, 32, **knobs), CIFAR).flop
    assert 3 * forward * 50_000 * epochs / 1e15 == pytest.approx(published, rel=0.04)


def test_resnet_equals_torchvisions_own() -> None:
    models = pytest.importorskip("torchvision.models")
    theirs, ours = models.resnet18(num_classes=10), net("resnet", 3, 64, depth=18, stem="imagenet")
    with torch.no_grad():
        for own, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            own.copy_(other)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


class Plain:
    """Reads the weights of a network in their order, and writes its forward pass in functions."""

    def __init__(self, network: nn.Module) -> None:
        kinds = nn.Conv2d | nn.BatchNorm2d | nn.Linear
        self.layers = iter([layer for layer in network.modules() if isinstance(layer, kinds)])

    def conv(self, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        layer = next(self.layers)
        return F.conv2d(x, layer.weight, layer.bias, stride, padding=(layer.weight.shape[-1] // 2))

    def norm(self, x: torch.Tensor) -> torch.Tensor:
        layer = next(self.layers)
        return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    def unit(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(x)))

    def head(self, x: torch.Tensor) -> torch.Tensor:
        layer = next(self.layers)
        return F.linear(x.flatten(1), layer.weight, layer.bias)


def stirred(name: str, channels: int, side: int, **knobs: object) -> nn.Module:
    """A network whose norm layers are not the identity."""
    torch.manual_seed(0)
    network = net(name, channels, side, **knobs).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_mean, layer.running_var, layer.weight.data, layer.bias.data):
                values.uniform_(0.5, 1.5)
    return network


@torch.no_grad()
def test_wide_resnet_equals_its_plain_twin() -> None:
    """Zagoruyko's blocks: where the shape changes, the shortcut starts after the first norm and activation."""
    network = stirred("wide_resnet", 3, 16, depth=16, k=2)
    x = torch.randn(2, 3, 16, 16)
    twin = Plain(network)
    y = twin.conv(x)
    for stage in range(3):
        for number in range(2):
            start = F.relu(twin.norm(y))
            inner = twin.conv(start, stride=2 if stage and not number else 1)
            inner = twin.conv(F.relu(twin.norm(inner)))
            y = inner + (F.conv2d(start, next(twin.layers).weight, stride=2 if stage else 1) if number == 0 else y)
    expected = twin.head(F.relu(twin.norm(y)).mean(dim=(2, 3)))
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_page9_equals_its_plain_twin() -> None:
    network = stirred("page9", 3, 32, width=0.125, head_scale=0.5)
    x = torch.randn(2, 3, 32, 32)
    twin = Plain(network)
    y = F.max_pool2d(twin.unit(twin.unit(x)), 2)
    y = y + twin.unit(twin.unit(y))
    y = F.max_pool2d(twin.unit(y), 2)
    y = F.max_pool2d(twin.unit(y), 2)
    y = y + twin.unit(twin.unit(y))
    torch.testing.assert_close(network(x), twin.head(F.max_pool2d(y, 4)) * 0.5)


@pytest.mark.parametrize("convs", [2, 3])
@torch.no_grad()
def test_airbench_equals_its_plain_twin(convs: int) -> None:
    """The pooling stands before the norm; in the long form the last activation follows the sum."""
    network = stirred("airbench", 3, 32, width=0.125, convs=convs, activation="relu", head_scale=0.25)
    x = torch.randn(2, 3, 32, 32)
    twin = Plain(network)
    first = next(twin.layers)
    y = F.relu(F.conv2d(x, first.weight, first.bias))
    assert y.shape == (2, 24, 31, 31)
    for _ in range(3):
        y = F.relu(twin.norm(F.max_pool2d(twin.conv(y), 2)))
        inner = twin.unit(y)
        y = inner if convs == 2 else F.relu(twin.norm(twin.conv(inner)) + y)
    torch.testing.assert_close(network(x), twin.head(F.max_pool2d(y, 3)) * 0.25)


@torch.no_grad()
def test_airbench_pads_28_pixels_to_32() -> None:
    small, full = net("airbench", 1, 28, width=0.125).eval(), net("airbench", 1, 32, width=0.125).eval()
    full.load_state_dict(small.state_dict())
    x = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(small(x), full(F.pad(x, (2, 2, 2, 2))))


@pytest.mark.parametrize(
    ("name", "knobs", "branches"),
    [("wide_resnet", {"k": 1}, 6), ("page9", {}, 2), ("airbench", {}, 0), ("airbench", {"convs": 3}, 3), ("resnet", {}, 8)],
)
@torch.no_grad()
def test_every_shortcut_is_a_residual_whose_branch_can_be_hooked(name: str, knobs: dict[str, object], branches: int) -> None:
    network = net(name, 1, 16, **({"width": 0.25} if name != "wide_resnet" else {}), **knobs).eval()
    blocks = [module for module in network.modules() if isinstance(module, Residual)]
    assert len(blocks) == branches
    for block in blocks:
        block.branch.register_forward_hook(lambda *seen: torch.zeros_like(seen[2]))
        block.register_forward_hook(lambda block, inputs, out: outputs.append((block, inputs[0], out)))
    outputs: list[tuple[Residual, torch.Tensor, torch.Tensor]] = []
    network(torch.randn(2, 1, 16, 16))
    for block, given, out in outputs:  # with nothing from the branch, the shortcut alone is left
        torch.testing.assert_close(out, block.act(block.shortcut(given)))


def test_wide_resnet_drops_between_the_convolutions_of_a_block() -> None:
    network = net("wide_resnet", depth=16, k=1, dropout=0.3)
    drops = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    assert len(drops) == 6 and {drop.p for drop in drops} == {0.3}
    names = [name for name, _ in network.get_submodule("stage2_1").branch.named_children()]
    assert names == ["conv1", "conv1_norm", "conv1_act", "dropout", "conv2"]


@pytest.mark.parametrize(("name", "side"), [("page9", 7), ("airbench", 8)])
def test_images_that_are_too_small_get_a_sentence(name: str, side: int) -> None:
    with pytest.raises(ValueError, match=f"too small for the halvings of {name}; the smallest side is {side + 1}"):
        net(name, side=side, width=0.125)
    net(name, side=side + 1, width=0.125)(torch.zeros(2, 1, side + 1, side + 1))


@pytest.mark.parametrize(("name", "right"), [("page9", 4), ("airbench", 3)])
def test_a_wrong_number_of_widths_gets_a_sentence(name: str, right: int) -> None:
    with pytest.raises(ValueError, match=f"{name}: widths takes {right} numbers, as in .*; it has 2"):
        net(name, 3, 32, widths=(8, 8))


@pytest.mark.parametrize(("name", "knobs"), [("small_cnn", {"widths": (12, 20)}), ("page9", {}), ("airbench", {})])
def test_width_makes_channels_multiples_of_eight(name: str, knobs: dict[str, object]) -> None:
    plain, wide = net(name, 3, 32, **knobs), net(name, 3, 32, width=0.3, **knobs)
    pairs = zip(plain.modules(), wide.modules(), strict=True)
    channels = [(a.out_channels, b.out_channels) for a, b in pairs if isinstance(a, nn.Conv2d)]
    for before, after in channels[1 if name == "airbench" else 0 :]:
        assert after % 8 == 0 and abs(after - max(8, before * 0.3)) <= 4
