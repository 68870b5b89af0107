"""Activations, initialisations and norms: against their formulas, and together in one training step."""

import math
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from choices import make, net
from torch import Tensor, nn

from cockpit.catalog import family


def test_the_catalogue_imports_no_torch() -> None:
    code = "import sys, cockpit.catalog as c; c.catalog(); print(sorted({'torch', 'textual'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def ramp(x: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, a straight line between them."""
    return min(1.0, max(0.0, (x - low) / (high - low)))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017
FORMULAS: dict[str, tuple[dict[str, object], Callable[[float], float]]] = {
    "relu": ({}, lambda x: max(0.0, x)),
    "leaky_relu": ({"negative_slope": 0.2}, lambda x: x if x > 0 else 0.2 * x),
    "prelu": ({}, lambda x: x if x > 0 else 0.25 * x),
    "elu": ({"alpha": 0.5}, lambda x: x if x > 0 else 0.5 * (math.exp(x) - 1)),
    "selu": ({}, lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * (math.exp(x) - 1))),
    "gelu": ({}, lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    "silu": ({}, lambda x: x * sigmoid(x)),
    "mish": ({}, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    "softplus": ({"beta": 2.0}, lambda x: math.log1p(math.exp(2 * x)) / 2),
    "tanh": ({}, math.tanh),
    "sigmoid": ({}, sigmoid),
    "identity": ({}, lambda x: x),
    "binary_step": ({}, lambda x: float(x >= 0)),
    "arctan": ({}, math.atan),
    "rrelu": ({"lower": 0.2, "upper": 0.4}, lambda x: x if x > 0 else 0.3 * x),
    "celu": ({"alpha": 0.5}, lambda x: x if x > 0 else 0.5 * (math.exp(2 * x) - 1)),
    "relu6": ({}, lambda x: 6 * ramp(x, 0, 6)),
    "hardtanh": ({}, lambda x: 2 * ramp(x, -1, 1) - 1),
    "hardsigmoid": ({}, lambda x: ramp(x, -3, 3)),
    "hardswish": ({}, lambda x: x * ramp(x, -3, 3)),
    "softsign": ({}, lambda x: x / (1 + abs(x))),
}


@pytest.mark.parametrize("name", family("activation"))
def test_activation_is_its_formula_and_leaves_its_input_alone(name: str) -> None:
    knobs, formula = FORMULAS[name]
    x = torch.linspace(-8, 8, 65, dtype=torch.float64)
    before = x.clone()
    y = make("activation", name, **knobs).build().double().eval()(x)
    torch.testing.assert_close(y, torch.tensor([formula(float(value)) for value in x], dtype=torch.float64))
    assert torch.equal(x, before)


ROWS, COLUMNS = 1000, 600
STDS = [
    ("he_normal", {}, "relu", math.sqrt(2 / COLUMNS)),
    ("he_normal", {"mode": "fan_out"}, "relu", math.sqrt(2 / ROWS)),
    ("he_uniform", {}, "relu", math.sqrt(2 / COLUMNS)),
    ("he_normal", {}, "tanh", math.sqrt(2 / COLUMNS)),
    ("glorot_normal", {}, "relu", math.sqrt(2 / (ROWS + COLUMNS))),
    ("glorot_uniform", {}, "sigmoid", math.sqrt(2 / (ROWS + COLUMNS))),
    ("glorot_normal", {}, "tanh", 5 / 3 * math.sqrt(2 / (ROWS + COLUMNS))),
    ("glorot_uniform", {"gain": 0.5}, "tanh", 0.5 * math.sqrt(2 / (ROWS + COLUMNS))),
    ("lecun_normal", {}, "relu", math.sqrt(1 / COLUMNS)),
    ("normal_001", {}, "relu", 0.01),
    ("trunc_normal_002", {}, "relu", 0.02),
    ("uniform", {}, "relu", 0.05 / math.sqrt(3)),
    ("orthogonal", {}, "relu", 1 / math.sqrt(ROWS)),
    ("zeros", {}, "relu", 0.0),
    ("constant", {}, "relu", 0.0),
    ("dirac", {}, "relu", math.sqrt(2 / COLUMNS)),
]


@pytest.mark.parametrize(("name", "knobs", "activation", "std"), STDS)
def test_init_has_the_std_of_its_formula(name: str, knobs: dict[str, object], activation: str, std: float) -> None:
    torch.manual_seed(0)
    weight = torch.full((ROWS, COLUMNS), 7.0)
    make("init", name, **knobs).fill(weight, make("activation", activation))
    assert float(weight.std(correction=0)) == pytest.approx(std, rel=0.01, abs=1e-7)
    assert float(weight.mean()) == pytest.approx(
        0.1 if name == "constant" else 0, abs=4 * std / math.sqrt(weight.numel()) + 1e-6
    )


def test_every_init_but_torchs_own_is_in_the_table_of_stds() -> None:
    assert {name for name, *_ in STDS} | {"torch_default"} == set(family("init"))


@pytest.mark.parametrize(
    ("activation", "knob", "slope"),
    [("leaky_relu", {"negative_slope": 0.5}, 0.5), ("prelu", {}, 0.25), ("rrelu", {"lower": 0.2, "upper": 0.6}, 0.4)],
)
@pytest.mark.parametrize("name", ["he_normal", "he_uniform"])
def test_he_knows_the_slope_of_the_activation(name: str, activation: str, knob: dict[str, float], slope: float) -> None:
    torch.manual_seed(0)
    weight = torch.empty(256, 32, 3, 3)
    make("init", name).fill(weight, make("activation", activation, **knob))
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (1 + slope**2) / (32 * 9)), rel=0.02)


def test_he_keeps_the_size_of_the_signal_and_lecun_loses_it() -> None:
    """The lecture's printed variance of 1/in against the paper's 2/in: 20 ReLU layers of width 512."""
    torch.manual_seed(0)
    sizes = {}
    for name in ("he_normal", "lecun_normal"):
        network = net("mlp", side=16, widths=(512,) * 20, norm="none", init=name)
        signal = network[:-1](torch.randn(256, 1, 16, 16))
        sizes[name] = float(signal.detach().square().mean().sqrt())
    assert 0.35 < sizes["he_normal"] < 1.4
    assert sizes["lecun_normal"] == pytest.approx(sizes["he_normal"] / 2**10, rel=0.6)


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (16, 4, 3, 3)])
def test_orthogonal_has_equal_singular_values(shape: tuple[int, ...]) -> None:
    weight = torch.empty(shape)
    make("init", "orthogonal", gain=1.4).fill(weight, make("activation", "relu"))
    values = torch.linalg.svdvals(weight.flatten(1))
    torch.testing.assert_close(values, torch.full_like(values, 1.4))


def standardised(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    mean = x.mean(dim=dims, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(dim=dims, keepdim=True) + eps).sqrt()


REFUSES = {True: {"rms"}, False: {"instance", "lrn", "frn", "split_batch"}}
"""Norms for vectors only, and for maps only."""


def neighbours(x: Tensor, size: int) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3, with torch's alpha 1e-4 on the mean, beta 0.75 and k 1."""
    channels = x.shape[1]
    out = []
    for here in range(channels):
        near = [x[:, i] ** 2 for i in range(channels) if abs(i - here) <= size // 2]
        out.append(x[:, here] / (1 + 1e-4 * sum(near) / size) ** 0.75)
    return torch.stack(out, dim=1)


@pytest.mark.parametrize("spatial", [True, False])
def test_norms_are_their_formulas(spatial: bool) -> None:
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn((6, 8, 5, 5) if spatial else (6, 8), dtype=torch.float64)
    places = (2, 3) if spatial else ()
    grouped = standardised(x.view(6, 4, 2, *x.shape[2:]), (2, *(place + 1 for place in places)), 1e-5).view_as(x)
    batch = standardised(x, (0, *places), 1e-5)
    expected = {
        "batch": batch,
        "none": x,
        "layer": standardised(x, (1, *places), 1e-6),
        "group": grouped,
        "ghost_batch": torch.cat([standardised(part, (0, *places), 1e-5) for part in x.split(2)]),
        "sync_batch": batch,
    }
    if spatial:
        rms = x / (x.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
        expected |= {
            "instance": standardised(x, places, 1e-5),
            "split_batch": torch.cat([standardised(part, (0, 2, 3), 1e-5) for part in x.split(3)]),
            "lrn": neighbours(x, 5),
            "frn": rms.clamp(min=0),
        }
    else:
        expected["rms"] = x / x.square().mean(dim=1, keepdim=True).sqrt()
    assert set(expected) | REFUSES[spatial] == set(family("norm"))
    knobs = {"group": {"groups": 4}, "ghost_batch": {"ghost": 2}}
    for name, formula in expected.items():
        layer = make("norm", name, **knobs.get(name, {})).build(8, spatial=spatial).double()
        torch.testing.assert_close(layer(x), formula, rtol=1e-6, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("spatial", "name"), [(maps, name) for maps in REFUSES for name in sorted(REFUSES[maps])])
def test_a_norm_that_does_not_fit_says_what_does(spatial: bool, name: str) -> None:
    with pytest.raises(ValueError, match=rf"norm: {name} is for (maps|the vectors of mlp and vit), and .*; take (layer|batch)"):
        make("norm", name).build(8, spatial=spatial)


@pytest.mark.parametrize("name", [name for name in family("norm") if name not in REFUSES[True]])
def test_a_layer_has_a_bias_unless_its_norm_shifts(name: str) -> None:
    network = net("small_cnn", norm=name, widths=(8,))
    assert (network.conv1_1.bias is not None) == (name in ("none", "lrn"))
    assert network.head.bias is not None


def test_a_linear_layer_keeps_its_bias_before_rms() -> None:
    assert net("mlp", norm="rms", widths=(8,)).fc1.bias is not None
    assert net("mlp", norm="layer", widths=(8,)).fc1.bias is None


def test_batch_norms_momentum_is_the_weight_of_the_new_batch() -> None:
    layer = make("norm", "batch", momentum=0.4).build(2, spatial=False)
    layer(torch.tensor([[1.0, 3.0], [3.0, 5.0]]))
    torch.testing.assert_close(layer.running_mean, torch.tensor([0.8, 1.6]))


TINY = {"mlp": {"widths": (16,)}, "small_cnn": {"widths": (8, 16), "convs": 1}}


FITS = [(model, norm) for model in TINY for norm in family("norm") if norm not in REFUSES[model == "small_cnn"]]


@pytest.mark.parametrize(("model", "norm"), FITS)
def test_every_combination_trains_a_step(model: str, norm: str) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    for activation, init in {(a, "he_normal") for a in family("activation")} | {("relu", i) for i in family("init")}:
        network = net(model, classes=3, activation=activation, init=init, norm=norm, **TINY[model])
        before = network.head.bias.detach().clone()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        assert loss.isfinite(), (activation, init)
        assert all(parameter.isfinite().all() for parameter in network.parameters()), (activation, init)
        assert not torch.equal(before, network.head.bias), (activation, init)
