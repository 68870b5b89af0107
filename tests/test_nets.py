"""Networks: shapes and sizes, known parameter counts, library and plain twins, and the words for what cannot work."""

import math
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from choices import count, make, net
from torch import nn

from cockpit.catalog import family
from cockpit.nets.vit import Attention, Block, Shape
from cockpit.travel import Task

MODELS = [name for name in family("model") if name != "file"]
OURS = [name for name in MODELS if name not in ("timm", "torchvision")]
PATCHES = "patch 4 does not divide 33x33 images; the nearest that does is 3"
IMPOSSIBLE = {
    ("lenet", 8): "8x8 images are too small for the two 5x5 convolutions of lenet; "
    "the smallest side is 12, and small_cnn takes any size",
    ("airbench", 8): "8x8 images are too small for the halvings of airbench; "
    "the smallest side is 9, and small_cnn takes any size",
    **{(name, 33): PATCHES for name in ("vit", "deit", "attention_block")},
}
NARROW = {"wide_resnet": {"k": 1}, "page9": {"width": 0.125}, "airbench": {"width": 0.125}}
"""Smaller ones, where the size is not what a test is about."""


@pytest.mark.parametrize("side", [8, 28, 32, 33])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_every_network_trains_on_every_size_or_says_why_not(name: str, channels: int, side: int) -> None:
    if said := IMPOSSIBLE.get((name, side)):
        with pytest.raises(ValueError) as caught:
            net(name, channels, side)
        assert str(caught.value) == said
        return
    network = net(name, channels, side, classes=7, **NARROW.get(name, {}))
    logits = network(torch.randn(2, channels, side, side))
    assert logits.shape == (2, 7)
    nn.functional.cross_entropy(logits, torch.tensor([0, 6])).backward()
    for label, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), label


@pytest.mark.parametrize("name", MODELS)
def test_networks_take_images_that_are_not_square(name: str) -> None:
    network = make("model", name, **NARROW.get(name, {})).build(Task(1, 32, 20, 10))
    assert network(torch.randn(2, 1, 32, 20)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "knobs", "channels", "side", "known"),
    [
        ("lenet", {}, 1, 28, 61_706),  # LeCun et al. 1998, as everyone writes it today
        ("lenet", {}, 1, 32, 61_706),
        ("resnet", {"depth": 18}, 3, 32, 11_173_962),  # torchvision's 11,181,642 with a 3x3 stem and 10 classes
        ("resnet", {"depth": 34}, 3, 32, 21_282_122),
        ("resnet", {"depth": 50}, 3, 32, 23_520_842),
        ("resnet", {"depth": 20}, 3, 32, 272_474),  # 269,722 with parameter-free shortcuts, and 576 + 2,176 in two 1x1 ones
        ("vit", {}, 1, 28, 455_050),
        ("mlp", {"norm": "none"}, 1, 28, 669_706),  # 785 * 512 + 513 * 512 + 513 * 10
        ("mlp", {"widths": ()}, 1, 28, 7_850),
    ],
)
def test_parameter_counts(name: str, knobs: dict[str, object], channels: int, side: int, known: int) -> None:
    assert count(net(name, channels, side, **knobs)) == known


@pytest.mark.parametrize("depth", [18, 50])
def test_resnet_equals_torchvision_with_a_small_stem(depth: int) -> None:
    models = pytest.importorskip("torchvision.models")
    theirs = models.get_model(f"resnet{depth}", num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    ours = net("resnet", 3, 32, depth=depth)
    with torch.no_grad():
        for own, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            own.copy_(other)
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_width_scales_channels_in_eights() -> None:
    network = net("resnet", depth=20, width=0.7)
    widths = [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert sorted(set(widths)) == [8, 24, 48]  # 11.2, 22.4 and 44.8


@pytest.mark.parametrize(("side", "last"), [(1, 1), (8, 4), (12, 6), (16, 4), (28, 7), (32, 8), (33, 8)])
def test_small_cnn_halves_its_maps_no_further_than_four(side: int, last: int) -> None:
    network, seen = net("small_cnn", side=side), []
    network.mean.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2:]))
    network(torch.randn(2, 1, side, side))
    assert seen == [(last, last)]


@pytest.mark.parametrize("name", OURS)
def test_the_last_linear_layer_is_the_head(name: str) -> None:
    network = net(name, side=28)
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert network.head is linear[-1]


@pytest.mark.parametrize("name", OURS)
def test_every_activation_is_a_module_of_its_own_and_works_on_a_copy(name: str) -> None:
    network, calls = net(name, side=28, activation="mish"), []
    for layer in network.modules():
        if isinstance(layer, nn.Mish):
            assert not layer.inplace
            layer.register_forward_hook(lambda layer, *_: calls.append(layer))
    network(torch.randn(2, 1, 28, 28))
    assert calls and len(set(calls)) == len(calls)


@pytest.mark.parametrize("name", OURS)
def test_init_fills_every_weight_and_empties_every_bias(name: str) -> None:
    network = net(name, side=28, init="constant", norm="none")
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer in layers:
        assert (layer.weight == 0.1).all()
        if layer.bias is None:
            assert name in ("page9", "airbench") and layer is network.head
        else:
            assert (layer.bias == 0).all()


def test_torch_default_is_the_plain_script_number_for_number() -> None:
    torch.manual_seed(3)
    ours = net("mlp", side=28, widths=(32,), init="torch_default", norm="none")
    torch.manual_seed(3)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
    x = torch.randn(4, 1, 28, 28)
    assert torch.equal(ours(x), plain(x))


def test_vit_keeps_the_spread_of_its_embeddings() -> None:
    network = net("vit", side=32, init="zeros")
    assert float(network.position.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert float(network.token.detach().std()) == pytest.approx(0.02, rel=0.3)


@torch.no_grad()
def plain_attention(layer: Attention, x: torch.Tensor) -> torch.Tensor:
    """Vaswani et al. 2017, equation 1, one image, one head and one token at a time."""
    dim = x.shape[2]
    size = dim // layer.heads
    images = []
    for tokens in x:
        query, key, value = (tokens @ layer.qkv.weight.T + layer.qkv.bias).split(dim, dim=1)
        heads = []
        for start in range(0, dim, size):
            q, k, v = (part[:, start : start + size] for part in (query, key, value))
            rows = []
            for token in q:
                weights = torch.tensor([math.exp(float(token @ other) / math.sqrt(size)) for other in k], dtype=x.dtype)
                rows.append((weights / weights.sum()) @ v)
            heads.append(torch.stack(rows))
        images.append(torch.cat(heads, dim=1) @ layer.out.weight.T + layer.out.bias)
    return torch.stack(images)


def test_attention_equals_its_plain_twin() -> None:
    torch.manual_seed(0)
    layer, x = Attention(12, 3).double(), torch.randn(2, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(layer(x), plain_attention(layer, x), rtol=1e-12, atol=1e-12)


def test_block_equals_torchs_encoder_layer() -> None:
    torch.manual_seed(0)
    block = Block(
        Shape(patch=4, dim=12, depth=1, heads=3, mlp_ratio=2, pool="token"),
        make("activation", "gelu").build,
        make("norm", "layer").build,
    )
    theirs = nn.TransformerEncoderLayer(12, 3, 24, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True)
    pairs = [
        (theirs.self_attn.in_proj_weight, block.attention.qkv.weight),
        (theirs.self_attn.in_proj_bias, block.attention.qkv.bias),
        (theirs.self_attn.out_proj.weight, block.attention.out.weight),
        (theirs.self_attn.out_proj.bias, block.attention.out.bias),
        (theirs.linear1.weight, block.fc1.weight),
        (theirs.linear1.bias, block.fc1.bias),
        (theirs.linear2.weight, block.fc2.weight),
        (theirs.linear2.bias, block.fc2.bias),
    ]
    with torch.no_grad():
        for target, source in pairs:
            target.copy_(source)
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(block(x), theirs(x))


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_only_the_position_embedding_tells_vit_where_a_patch_was(pool: str) -> None:
    torch.manual_seed(0)
    network = net("vit", side=8, pool=pool, init="he_normal").eval()
    x = torch.randn(2, 1, 8, 8)
    swapped = x.roll(4, dims=3)  # two patches wide, so that neighbours change places
    assert not torch.allclose(network(x), network(swapped), atol=1e-4)
    with torch.no_grad():
        network.position.zero_()
    torch.testing.assert_close(network(x), network(swapped), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "layer", "group", "none"])
def test_vit_takes_every_norm(norm: str) -> None:
    assert net("vit", norm=norm)(torch.randn(3, 1, 8, 8)).isfinite().all()


@pytest.mark.parametrize(
    ("name", "knobs", "said"),
    [
        ("vit", {"heads": 5}, "5 heads do not divide dim 96; the nearest number that does is 4"),
        ("vit", {"patch": 7}, "patch 7 does not divide 8x8 images; the nearest that does is 8"),
        ("lenet", {"widths": (6, 16)}, "lenet: widths takes four numbers, as in [6, 16, 120, 84]; it has 2"),
        ("small_cnn", {"widths": ()}, "small_cnn: widths needs at least one number, as in [32, 64, 128]"),
        (
            "small_cnn",
            {"norm": "group", "widths": (12,)},
            "norm: 8 groups do not divide 12 channels; the nearest that do is 6",
        ),
    ],
)
def test_knobs_that_do_not_fit_get_a_sentence(name: str, knobs: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        net(name, **knobs)
    assert str(caught.value) == said


GOOD = """
    from torch import nn

    class Mine(nn.Sequential):
        def __init__(self, in_channels, num_classes, image_size, activation):
            height, width = image_size
            super().__init__(nn.Flatten(), nn.Linear(in_channels * height * width, 4), activation(), nn.Linear(4, num_classes))

    def build(**offered):
        assert offered["norm"](4, spatial=True).num_features == 4
        return Mine(offered["in_channels"], offered["num_classes"], offered["image_size"], offered["activation"])

    def number():
        return 7

    def wrong(num_classes):
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes + 1))

    def broken():
        raise RuntimeError("a mistake of the user's")
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "my_net.py"
    path.write_text(dedent(GOOD), encoding="utf-8")
    return path


@pytest.mark.parametrize("factory", ["build", "Mine"])
def test_a_network_from_a_file(own: Path, factory: str) -> None:
    network = net("file", path=str(own), factory=factory, activation="tanh")
    assert network.training
    assert isinstance(network[2], nn.Tanh)
    assert network(torch.randn(3, 1, 8, 8)).shape == (3, 10)


def test_a_file_keeps_its_own_weights_unless_an_init_is_asked_for(own: Path) -> None:
    assert (net("file", path=str(own))[1].bias != 0).any()
    assert (net("file", path=str(own), init="constant")[1].weight == 0.1).all()


@pytest.mark.parametrize(
    ("name", "factory", "said"),
    [
        ("my_nets.py", "build", "there is no file {folder}/my_nets.py; did you mean 'my_net.py'?"),
        ("zzz", "build", "there is no file {folder}/zzz; looked in {folder}"),
        ("notes.txt", "build", "{folder}/notes.txt is not a Python file; its name must end in .py"),
        (
            "my_net.py",
            "bild",
            "{folder}/my_net.py has no function or class 'bild'; it defines Mine, build, number, wrong, broken",
        ),
        (
            "empty.py",
            "build",
            "{folder}/empty.py has no function or class 'build'; it defines no function and no class",
        ),
        ("my_net.py", "number", "number in {folder}/my_net.py returned int; it must return a torch.nn.Module"),
        (
            "my_net.py",
            "wrong",
            "wrong in {folder}/my_net.py turns 2 images into shape (2, 11); for 10 classes it must be (2, 10)",
        ),
    ],
)
def test_a_file_that_does_not_fit_gets_a_sentence(own: Path, name: str, factory: str, said: str) -> None:
    (own.parent / "notes.txt").write_text("no code", encoding="utf-8")
    (own.parent / "empty.py").write_text("from pathlib import Path\n", encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        net("file", path=str(own.parent / name), factory=factory)
    assert str(caught.value) == said.format(folder=own.parent)


def test_errors_in_the_users_code_pass_through(own: Path) -> None:
    with pytest.raises(RuntimeError, match="a mistake of the user's"):
        net("file", path=str(own), factory="broken")
