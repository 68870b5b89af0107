"""Networks of timm and torchvision: the library's own, the first layers that were changed, and the words for what cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from choices import make, net
from kit import DIGITS, images
from torch import nn
from torchvision import models

from cockpit.nets.from_timm import statistics
from cockpit.recipe import RecipeError, loads

SMALL = "test_resnet"
"""0.4 million parameters, from the library's own tests."""


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    pairs = zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True)
    return all(one == two and torch.equal(mine, yours) for (one, mine), (two, yours) in pairs)


@pytest.mark.parametrize("channels", [1, 3])
def test_timm_builds_its_network_and_its_start(channels: int) -> None:
    torch.manual_seed(3)
    ours = net("timm", channels, 32, which=SMALL, drop_path=0.2, drop=0.1)
    torch.manual_seed(3)
    theirs = timm.create_model(SMALL, in_chans=channels, num_classes=10, drop_path_rate=0.2, drop_rate=0.1)
    assert same(ours, theirs) and repr(ours) == repr(theirs)


def test_torchvision_builds_its_network_and_its_start() -> None:
    torch.manual_seed(3)
    ours = net("torchvision", 3, 32, which="shufflenet_v2_x0_5")
    torch.manual_seed(3)
    assert same(ours, models.shufflenet_v2_x0_5(num_classes=10))


@torch.no_grad()
def test_torchvision_takes_grey_images_as_it_takes_them_in_colour() -> None:
    torch.manual_seed(3)
    grey = net("torchvision", 1, 32, which="shufflenet_v2_x0_5").eval()
    torch.manual_seed(3)
    colour = models.shufflenet_v2_x0_5(num_classes=10).eval()
    x = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)


def test_an_init_that_is_asked_for_is_made() -> None:
    network = net("timm", which=SMALL, init="constant")
    assert all((layer.weight == 0.1).all() for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d))


@pytest.mark.parametrize(("name", "which"), [("timm", "resnet10t"), ("torchvision", "resnet18")])
def test_a_small_stem_halves_nothing(name: str, which: str) -> None:
    network, seen = net(name, 1, 32, which=which, stem="small"), []
    network.layer1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    assert network(torch.randn(2, 1, 32, 32)).shape == (2, 10)
    assert seen == [32]
    convolution = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert float(convolution.weight.detach().std()) == pytest.approx((2 / (9 * convolution.out_channels)) ** 0.5, rel=0.2)


@torch.no_grad()
def test_images_are_resized_to_the_size_that_a_network_asks_for() -> None:
    network = net("timm", 1, 8, which="test_vit", img_size=32).eval()
    x = torch.rand(2, 1, 8, 8)
    larger = nn.functional.interpolate(x, size=(32, 32), mode="bilinear", antialias=True)
    assert network.net.patch_embed.img_size == (32, 32)
    torch.testing.assert_close(network(x), network.net(larger))


def test_a_transformer_is_built_for_the_images_it_gets() -> None:
    assert net("timm", 1, 32, which="test_vit")(torch.randn(2, 1, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "knobs", "said"),
    [
        ("timm", {"which": "resnet10"}, "timm has no network 'resnet10'; the nearest are .*resnet10t"),
        ("timm", {"which": "hf-hub:someone/net"}, "timm has no network 'hf-hub:someone/net'; none is"),
        ("timm", {"which": "zzzz"}, "timm has no network 'zzzz'; none is named like it"),
        ("timm", {"which": "resnet10t.nobody"}, "timm:resnet10t.nobody cannot be built: Invalid pretrained tag"),
        ("timm", {"which": "vgg11", "drop_path": 0.1}, "timm:vgg11 cannot be built: .*'drop_path_rate'"),
        ("timm", {"which": "test_vit"}, "timm:test_vit cannot take 8x8 images: .*; img_size: 160 resizes them"),
        ("timm", {"which": "test_convnext"}, "timm:test_convnext cannot take 8x8 images: Calculated padded input size"),
        ("timm", {"which": "test_vit", "img_size": 32, "stem": "small"}, "stem: timm:test_vit does not begin with"),
        ("timm", {"activation": "gelu"}, "activation: the networks of timm bring their own; leave it at relu"),
        ("timm", {"norm": "none"}, "norm: the networks of timm bring their own; leave it at batch"),
        ("torchvision", {"norm": "none"}, "norm: the networks of torchvision bring their own; leave it at batch"),
        ("torchvision", {"which": "googlenet"}, "torchvision:googlenet answers with three sets of logits"),
        ("torchvision", {"which": "ssd300_vgg16"}, "torchvision:ssd300_vgg16 is no classifier; the nearest are vgg16"),
        ("torchvision", {"which": "resnet19"}, "torchvision:resnet19 is not there; the nearest are resnet18"),
        ("torchvision", {"which": "alexnet"}, "torchvision:alexnet cannot take 8x8 images: .*too small"),
        ("torchvision", {"which": "vit_b_32"}, "torchvision:vit_b_32 cannot be built: Input shape indivisible by patch size"),
    ],
)
def test_what_cannot_be_gets_a_sentence(name: str, knobs: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        net(name, **knobs)


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """Weights as a file of the library holds them: for colour and a thousand classes."""
    torch.manual_seed(7)
    return timm.create_model(SMALL).state_dict()


def test_weights_come_from_a_file(tmp_path: Path, published: dict[str, torch.Tensor]) -> None:
    torch.save(published, tmp_path / "net.pth")
    network = net("timm", 1, 32, which=SMALL, pretrained=str(tmp_path / "net.pth"))
    held = network.state_dict()
    stem = next(name for name, weight in held.items() if weight.dim() == 4)
    for name, weight in held.items():
        if name == stem:
            torch.testing.assert_close(weight, published[name].sum(1, keepdim=True))
        elif not name.startswith("fc."):
            assert torch.equal(weight, published[name]), name
    assert held["fc.weight"].shape == (10, 96) and float(held["fc.weight"].std()) > 0
    assert "state_dict" not in network.pretrained_cfg


def test_a_file_with_a_head_for_as_many_classes_keeps_it(tmp_path: Path, published: dict[str, torch.Tensor]) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(published, tmp_path / "net.safetensors")
    network = net("timm", 3, 32, classes=1000, which=SMALL, pretrained=str(tmp_path / "net.safetensors"))
    assert all(torch.equal(weight, published[name]) for name, weight in network.state_dict().items())


def without(part: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda held: {name: weight for name, weight in held.items() if not name.startswith(part)}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (without("layer2"), f"net.pth has no weights for layer2.0.conv1.weight, .* of timm:{SMALL}"),
        (lambda held: {"other": torch.zeros(2)}, "net.pth has no weights for conv1"),
        (lambda held: Path("code"), "net.pth is no file of weights"),
        (None, "there is no file .*net.pth; weights are read from a file and never downloaded"),
    ],
)
def test_a_file_that_does_not_fit_gets_a_sentence(
    tmp_path: Path, published: dict[str, torch.Tensor], made: Callable[..., object] | None, said: str
) -> None:
    path = tmp_path / "net.pth"
    if made:
        torch.save(made(published), path)
    with pytest.raises(ValueError, match=f"pretrained: {said}"):
        net("timm", 3, 32, which=SMALL, pretrained=str(path))


@pytest.mark.parametrize(
    ("knobs", "said"),
    [({"init": "he_normal"}, "init would overwrite the pretrained weights"), ({"stem": "small"}, "stem: small puts a new")],
)
def test_pretrained_weights_are_not_overwritten(tmp_path: Path, knobs: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        net("timm", which=SMALL, pretrained=str(tmp_path / "net.pth"), **knobs)


def test_loading_leaves_the_random_numbers_where_building_does(tmp_path: Path, published: dict[str, torch.Tensor]) -> None:
    torch.save(published, tmp_path / "net.pth")
    states = []
    for knobs in ({}, {"pretrained": str(tmp_path / "net.pth")}):
        torch.manual_seed(5)
        net("timm", 3, 32, which=SMALL, **knobs)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_images_are_standardised_as_published_weights_expect() -> None:
    train = images(DIGITS)
    assert make("model", "timm").stands == ()
    moved = make("model", "timm", which=SMALL, pretrained="net.pth").dataset(train)
    assert float(moved.mean) == pytest.approx(0.5) and float(moved.std) == pytest.approx(0.5)
    mean, std = statistics("resnet10t", 3)
    assert mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert float(statistics("resnet10t", 1)[0]) == pytest.approx(0.449, abs=1e-3)


def test_a_recipe_may_say_it_shortly_and_hears_of_it_early() -> None:
    recipe = loads(f"model: timm:{SMALL}")
    assert (recipe.model.card.name, recipe.model.which) == ("timm", SMALL)
    with pytest.raises(RecipeError, match="1:1: model: activation: the networks of torchvision bring their own"):
        loads("model: {name: torchvision, activation: gelu}")
