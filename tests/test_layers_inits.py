"""Initialisations: filters that hand their input on, the slope in He's formula, and what the cards say."""

import math

import pytest
import torch
from choices import make, net
from torch import nn

from cockpit.catalog import family
from cockpit.recipe import loads
from cockpit.recipe.conflicts import cautions

SLIDES = {
    "he_normal": "2/in",
    "he_uniform": "2/in",
    "normal_001": "standard deviation",
    "orthogonal": "singular values",
    "uniform": "no bound",
}


def filled(init: str, *shape: int, activation: str = "relu", **knobs: object) -> torch.Tensor:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.full(shape, 7.0))
    make("init", init, **knobs).fill(weight, make("activation", activation))
    return weight.detach()


@pytest.mark.parametrize(("outputs", "inputs", "side"), [(12, 5, 3), (5, 12, 3), (6, 6, 1), (4, 4, 2), (9, 2, 5)])
def test_dirac_hands_the_first_channels_on(outputs: int, inputs: int, side: int) -> None:
    weight = filled("dirac", outputs, inputs, side, side)
    kept = min(outputs, inputs)
    x = torch.randn(2, inputs, 8, 8)
    after = nn.functional.conv2d(x, weight, padding=side // 2)[:, :kept, :8, :8]
    torch.testing.assert_close(after, x[:, :kept])


def test_the_other_filters_of_dirac_are_hes() -> None:
    weight = filled("dirac", 600, 40, 3, 3, activation="leaky_relu")[40:]
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (1 + 0.01**2) / (40 * 9)), rel=0.02)
    assert torch.equal(filled("dirac", 30, 20), filled("he_normal", 30, 20))


def test_a_network_without_norms_hands_its_maps_on_under_dirac() -> None:
    network = net("small_cnn", channels=3, widths=(3,), convs=4, norm="none", init="dirac")
    x = torch.rand(2, 3, 6, 6)
    torch.testing.assert_close(network[:-3](x), x)


@pytest.mark.parametrize("name", ["he_normal", "he_uniform"])
@pytest.mark.parametrize(("said", "slope"), [(None, 0.3), (0.0, 0.0), (1.0, 1.0)])
def test_he_takes_the_slope_as_said_or_as_the_activation_has_it(name: str, said: float | None, slope: float) -> None:
    torch.manual_seed(0)
    weight = torch.empty(512, 300)
    make("init", name, a=said).fill(weight, make("activation", "leaky_relu", negative_slope=0.3))
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (1 + slope**2) / 300), rel=0.01)


@pytest.mark.parametrize("bound", [0.001, 0.5])
def test_uniform_stays_within_its_bound(bound: float) -> None:
    weight = filled("uniform", 200, 50, bound=bound)
    assert 0.99 * bound < float(weight.abs().max()) <= bound


@pytest.mark.parametrize("name", family("init"))
def test_the_slides_slips_are_noted_on_the_cards(name: str) -> None:
    slide = family("init")[name].slide
    assert (SLIDES[name] in slide) if name in SLIDES else slide == ""


def test_the_identity_notes_the_slip_on_activations() -> None:
    slides = {name: card.slide for name, card in family("activation").items() if card.slide}
    assert list(slides) == ["identity"] and "derivative almost everywhere" in slides["identity"]


@pytest.mark.parametrize("name", ["zeros", "constant"])
@pytest.mark.parametrize(("norm", "warned"), [("batch", True), ("ghost_batch", True), ("none", False), ("layer", False)])
def test_equal_weights_with_batch_norm_are_called_a_demonstration(name: str, norm: str, warned: bool) -> None:
    said = cautions(loads(f"model: {{init: {name}, norm: {norm}}}"))
    assert any("a demonstration" in line for line in said) == warned


def test_what_is_said_of_zeros_is_so() -> None:
    """Only the last bias moves, with batch norm too: the loss stays where the class frequencies put it."""
    torch.manual_seed(0)
    network = net("small_cnn", init="zeros", norm="batch", widths=(8,))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    x, y = torch.randn(40, 1, 8, 8), torch.arange(40) % 10
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) == pytest.approx(math.log(10), abs=1e-5)
    assert all(not layer.weight.any() for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
