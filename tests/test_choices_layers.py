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
}


@pytest.mark.parametrize("name", family("activation"))
def test_activation_is_its_formula_and_leaves_its_input_alone(name: str) -> None:
    knobs, formula = FORMULAS[name]
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    before = x.clone()
    y = make("activation", name, **knobs).build().double()(x)
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


@pytest.mark.parametrize(("activation", "knob", "slope"), [("leaky_relu", {"negative_slope": 0.5}, 0.5), ("prelu", {}, 0.25)])
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


@pytest.mark.parametrize("spatial", [True, False])
def test_norms_are_their_formulas(spatial: bool) -> None:
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn((6, 8, 5, 5) if spatial else (6, 8), dtype=torch.float64)
    places = (2, 3) if spatial else ()
    grouped = standardised(x.view(6, 4, 2, *x.shape[2:]), (2, *(place + 1 for place in places)), 1e-5).view_as(x)
    expected = {
        "batch": standardised(x, (0, *places), 1e-5),
        "none": x,
        "layer": standardised(x, (1, *places), 1e-6),
        "group": grouped,
    }
    for name in family("norm"):
        layer = make("norm", name, **({"groups": 4} if name == "group" else {})).build(8, spatial=spatial).double()
        torch.testing.assert_close(layer(x), expected[name])


def test_batch_norms_momentum_is_the_weight_of_the_new_batch() -> None:
    layer = make("norm", "batch", momentum=0.4).build(2, spatial=False)
    layer(torch.tensor([[1.0, 3.0], [3.0, 5.0]]))
    torch.testing.assert_close(layer.running_mean, torch.tensor([0.8, 1.6]))


TINY = {"mlp": {"widths": (16,)}, "small_cnn": {"widths": (8, 16), "convs": 1}}


@pytest.mark.parametrize("norm", family("norm"))
@pytest.mark.parametrize("model", TINY)
def test_every_combination_trains_a_step(model: str, norm: str) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    for activation in family("activation"):
        for init in family("init"):
            network = net(model, classes=3, activation=activation, init=init, norm=norm, **TINY[model])
            before = network.head.bias.detach().clone()
            optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
            loss = nn.functional.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            assert loss.isfinite(), (activation, init)
            assert all(parameter.isfinite().all() for parameter in network.parameters()), (activation, init)
            assert not torch.equal(before, network.head.bias), (activation, init)
