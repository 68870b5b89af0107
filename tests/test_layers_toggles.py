"""The toggles on layers: last scales at 0, fixed scales, prior biases, and batch norm statistics taken anew."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from choices import make, net
from kit import COLOUR, DIGITS, images, parts
from torch import nn
from torch.nn import functional

from cockpit.engine.feed import Feed
from cockpit.tricks.freeze_bn_scale import FreezeBnScale
from cockpit.tricks.prior_bias import PriorBias
from cockpit.tricks.recalibrate_bn import RecalibrateBn
from cockpit.tricks.zero_last_gamma import ZeroLastGamma


def zeroed(model: nn.Module) -> list[int]:
    """Places of the scales that are 0 among all scales."""
    names = [name for name, weight in model.named_parameters() if name.endswith("weight") and weight.ndim == 1]
    return [place for place, name in enumerate(names) if not model.get_parameter(name).any()]


@pytest.mark.parametrize("depth", [18, 50])
def test_the_last_scales_are_those_that_torchvision_and_timm_zero(depth: int) -> None:
    models, timm = pytest.importorskip("torchvision.models"), pytest.importorskip("timm")
    wanted = zeroed(models.get_model(f"resnet{depth}", zero_init_residual=True, num_classes=10))
    assert len(wanted) == {18: 8, 50: 16}[depth]
    plain = [
        net("resnet", 3, 32, depth=depth),
        models.get_model(f"resnet{depth}", num_classes=10),
        timm.create_model(f"resnet{depth}", zero_init_last=False),
    ]
    for network in plain:
        assert zeroed(network) == []
        assert zeroed(ZeroLastGamma().model(network, COLOUR)) == wanted


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "ghost_batch", "instance", "frn"])
def test_a_block_starts_as_its_shortcut(norm: str) -> None:
    activation = "identity" if norm == "frn" else "relu"
    network = net("resnet", 1, 16, depth=20, norm=norm, activation=activation)
    network = ZeroLastGamma().model(network, DIGITS)
    x = torch.rand(4, 16, 16, 16)
    block = network.stage1_2
    torch.testing.assert_close(block(x), x)
    assert all(scale.requires_grad for scale in block.parameters())


@pytest.mark.parametrize(
    ("name", "knobs"),
    [("small_cnn", {}), ("mlp", {}), ("vit", {}), ("wide_resnet", {}), ("resnet", {"depth": 20, "norm": "none"})],
)
def test_networks_without_a_last_scale_are_refused(name: str, knobs: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no residual branch that ends in a norm layer with a scale"):
        ZeroLastGamma().model(net(name, side=16, **knobs), DIGITS)


@pytest.mark.parametrize("norm", ["batch", "ghost_batch", "sync_batch", "split_batch"])
def test_fixed_scales_stay_at_one_while_the_shifts_learn(norm: str) -> None:
    torch.manual_seed(0)
    network = net("small_cnn", norm=norm, widths=(8,))
    scales = [layer.weight for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    nn.init.constant_(scales[0], 0.3)
    FreezeBnScale().model(network, DIGITS)
    optimizer = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], lr=0.5)
    functional.cross_entropy(network(torch.randn(8, 1, 8, 8)), torch.arange(8)).backward()
    optimizer.step()
    assert all((scale == 1).all() for scale in scales)
    assert network.conv1_1_norm.bias.any()


def test_fixed_scales_need_batch_norm() -> None:
    with pytest.raises(ValueError, match="no batch norm; choose norm batch or ghost_batch"):
        FreezeBnScale().model(net("small_cnn", norm="group", widths=(8,)), DIGITS)


def uneven(counts: list[int]) -> Feed:
    """A training split with so many images of each class."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return replace(images(count=len(labels)), labels=labels)


@pytest.mark.parametrize(("form", "loss"), [("softmax", functional.cross_entropy), ("sigmoid", None)])
def test_a_prior_is_the_best_answer_that_looks_at_no_image(form: str, loss: object) -> None:
    """Where the head says nothing else, the mean gradient of the loss in the bias is 0 over the training images."""
    train = uneven([30, 1, 5, 9, 2, 2, 2, 2, 2, 9])
    network = net("small_cnn", widths=(8,), init="zeros")
    PriorBias(form=form).plug(parts(network, train=train)).model(network, DIGITS)
    logits = network(train.standardise(train.take(torch.arange(len(train)))).x)
    if loss is None:
        value = functional.binary_cross_entropy_with_logits(logits, functional.one_hot(train.labels, 10).float())
    else:
        value = loss(logits, train.labels)
    value.backward()
    torch.testing.assert_close(network.head.bias.grad, torch.zeros(10), atol=1e-7, rtol=0)
    share = train.labels.bincount() / len(train)
    if form == "softmax":
        assert float(value.detach()) == pytest.approx(float(-(share * share.log()).sum()), rel=1e-6)


def test_for_classes_of_one_size_the_odds_are_one_to_the_others() -> None:
    network = net("small_cnn", widths=(8,))
    PriorBias(form="sigmoid").plug(parts(network, train=uneven([4] * 10))).model(network, DIGITS)
    torch.testing.assert_close(network.head.bias.detach(), torch.full((10,), -math.log(9)))


def test_a_class_without_images_counts_as_one() -> None:
    network = net("small_cnn", widths=(8,))
    PriorBias().plug(parts(network, train=uneven([6, 0, 1, 1, 1, 1, 1, 1, 1, 1]))).model(network, DIGITS)
    torch.testing.assert_close(network.head.bias[1], network.head.bias[2])
    assert network.head.bias.isfinite().all()


def test_a_head_without_a_bias_cannot_start_from_a_prior() -> None:
    network = net("small_cnn", widths=(8,))
    network.head = nn.Linear(8, 10, bias=False)
    with pytest.raises(ValueError, match="prior_bias: the layer head has no bias for each class"):
        PriorBias().plug(parts(network)).model(network, DIGITS)


def noisy_network() -> nn.Sequential:
    torch.manual_seed(0)
    network = net("small_cnn", widths=(8, 8), activation="rrelu")
    network.flatten = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))
    return network.train()


@pytest.mark.parametrize(("count", "batches", "sizes"), [(64, 100, [64]), (600, 100, [256, 256]), (600, 1, [256])])
def test_the_statistics_are_the_mean_over_fixed_batches_of_different_images(count: int, batches: int, sizes: list[int]) -> None:
    train = images(count=count)
    network = noisy_network()
    plug = RecalibrateBn(batches=batches).plug(parts(network, train=train))
    chosen = plug._batches
    assert [len(ids) for ids in chosen] == sizes
    assert len(torch.cat(chosen).unique()) == sum(sizes)
    assert not torch.equal(torch.cat(chosen), torch.cat(chosen).sort().values), "a folder may be sorted by class"

    scored = RecalibrateBn(batches=batches).plug(parts(network, train=train)).evaluate(network)
    first = [network.conv1_1(train.standardise(train.take(ids)).x) for ids in chosen]
    norm = scored.conv1_1_norm
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean((0, 2, 3)) for x in first]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.transpose(0, 1).flatten(1).var(1) for x in first]).mean(0))


def test_the_statistics_are_those_of_torchs_update_bn() -> None:
    train, network = images(count=300), net("small_cnn", widths=(8, 8))
    plug = RecalibrateBn().plug(parts(network, train=train))
    theirs, loader = copy.deepcopy(network), [(train.standardise(train.take(ids)).x, None) for ids in plug._batches]
    torch.optim.swa_utils.update_bn(loader, theirs)
    ours = plug.evaluate(network)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    assert not torch.equal(ours.conv1_1_norm.running_mean, network.conv1_1_norm.running_mean)


def test_taking_them_anew_touches_neither_the_network_nor_a_generator() -> None:
    network = noisy_network()
    before, modes = copy.deepcopy(network.state_dict()), [module.training for module in network.modules()]
    plug = RecalibrateBn().plug(parts(network))
    drawn = torch.get_rng_state()
    one, two = plug.evaluate(network), plug.evaluate(network)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(*pair) for pair in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert one.state_dict().keys() == before.keys()


def test_without_batch_norm_there_is_nothing_to_take_anew() -> None:
    with pytest.raises(ValueError, match="has no batch norm, so there is nothing to take anew"):
        RecalibrateBn().plug(parts(net("small_cnn", norm="layer", widths=(8,))))


def test_defaults_are_those_of_the_cards() -> None:
    assert make("norm", "ghost_batch").ghost == 32
    assert RecalibrateBn().batches == 100
