"""Activations: the curve a card draws against the module that trains, gradients of the steps, and what the cards warn of."""

import pytest
import torch
from choices import make

from cockpit.catalog import family
from cockpit.recipe import RecipeError, loads
from cockpit.recipe.conflicts import cautions

KNOBS: dict[str, list[dict[str, object]]] = {
    "binary_step": [{"straight_through": True}],
    "leaky_relu": [{"negative_slope": 0.3}, {"negative_slope": 1.0}],
    "prelu": [{"init": 0.0}, {"init": 0.7}],
    "rrelu": [{"lower": 0.0, "upper": 1.0}, {"lower": 0.2, "upper": 0.2}],
    "elu": [{"alpha": 0.1}, {"alpha": 2.0}],
    "celu": [{"alpha": 0.05}, {"alpha": 2.0}],
    "softplus": [{"beta": 0.1}, {"beta": 10.0}],
    "gelu": [{"approximate": "tanh"}],
}
CASES = [(name, {}) for name in family("activation")] + [(name, knobs) for name, all in KNOBS.items() for knobs in all]


@pytest.mark.parametrize(("name", "knobs"), CASES)
def test_the_drawn_curve_is_the_module(name: str, knobs: dict[str, object]) -> None:
    activation = make("activation", name, **knobs)
    grid = [i / 8 for i in range(-64, 65)] + [-800.0, -30.0, 30.0, 800.0]
    module = activation.build().double().eval()
    with torch.no_grad():
        trained = module(torch.tensor(grid, dtype=torch.float64))
    # torch's softplus is x itself from beta x = 20 on, 2e-8 away at the least beta; prelu's slope is single precision
    torch.testing.assert_close(
        torch.tensor([activation.value(x) for x in grid], dtype=torch.float64), trained, rtol=2e-8, atol=3e-8
    )


def test_every_knob_of_an_activation_is_moved_above() -> None:
    assert {name for name, card in family("activation").items() if card.knobs} == set(KNOBS)


def test_rrelu_draws_slopes_between_its_bounds_in_training() -> None:
    module = make("activation", "rrelu", lower=0.2, upper=0.4).build()
    torch.manual_seed(0)
    slopes = -module(torch.full((4000,), -1.0))
    assert 0.2 <= float(slopes.min()) < 0.21 and 0.39 < float(slopes.max()) <= 0.4
    assert torch.equal(module(torch.ones(3)), torch.ones(3))


def test_rrelu_refuses_bounds_the_wrong_way_round() -> None:
    with pytest.raises(RecipeError, match=r"lower 0\.5 is above upper 0\.333; exchange them"):
        loads("model: {activation: {name: rrelu, lower: 0.5}}")


@pytest.mark.parametrize("through", [False, True])
def test_a_step_hands_gradients_back_only_straight_through(through: bool) -> None:
    x = torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.5], requires_grad=True)
    y = make("activation", "binary_step", straight_through=through).build()(x)
    assert y.tolist() == [0, 0, 1, 1, 1]
    assert y.requires_grad == through
    if through:
        (y * torch.arange(1.0, 6.0)).sum().backward()
        assert x.grad.tolist() == [0, 2, 3, 4, 0]


def test_only_what_follows_a_step_learns() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), make("activation", "binary_step").build(), torch.nn.Linear(4, 2), torch.nn.Softmax(dim=1)
    )
    model(torch.randn(5, 3)).square().sum().backward()
    assert model[0].weight.grad is None and model[2].weight.grad is not None


def minded(activation: str, *edits: str) -> str:
    return " | ".join(cautions(loads(f"model: {{activation: {activation}}}", edits=edits)))


@pytest.mark.parametrize("init", family("init"))
def test_selu_warns_of_every_init_but_lecuns(init: str) -> None:
    assert ("only from lecun_normal" in minded("selu", f"model.init={init}")) == (init != "lecun_normal")


@pytest.mark.parametrize("norm", ["batch", "ghost_batch", "sync_batch", "split_batch"])
def test_selu_warns_of_batch_norm_and_plain_dropout(norm: str) -> None:
    assert "norm none lets it" in minded("selu", f"model.norm={norm}")
    quiet = ("model.norm=none", "model.init=lecun_normal")
    assert minded("selu", *quiet) == ""
    assert "alpha_dropout does not" in minded("selu", *quiet, "tricks.dropout=on")


def test_frn_warns_of_a_second_activation_only() -> None:
    for name in family("activation"):
        assert ("frn ends in an activation" in minded(name, "model.norm=frn")) == (name != "identity"), name


def test_glu_is_not_offered() -> None:
    with pytest.raises(RecipeError, match="unknown activation 'glu'"):
        loads("model: {activation: glu}")


@pytest.mark.parametrize(
    ("alias", "name"), [("kaiming_normal", "he_normal"), ("kaiming_uniform", "he_uniform"), ("xavier_normal", "glorot_normal")]
)
def test_inits_answer_to_their_other_names(alias: str, name: str) -> None:
    assert loads(f"model: {{init: {alias}}}").model.init.card.name == name


def test_swish_is_silu() -> None:
    assert loads("model: {activation: swish}").model.activation.card.name == "silu"
