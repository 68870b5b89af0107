"""A network from a line of words: the layers it means, and what is wrong with a word."""

import pytest
import torch
from choices import count, net
from torch import nn

from cockpit.nets.resnet import Residual


def kinds(line: str, **knobs: object) -> list[str]:
    return [type(layer).__name__ for layer in net("layers", 1, 28, layers=line, **knobs).children()]


def test_every_word_is_its_layer_in_the_order_of_the_line() -> None:
    assert kinds("c6k5 mp c16k5same bn mp do0.3 fc84x2 bn do0.5") == [
        *("Conv2d", "ReLU", "MaxPool2d"),
        *("Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d", "Dropout"),
        *("Flatten", "Linear", "ReLU", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"),
    ]
    assert kinds("r8 r16s2 gap") == ["Residual", "Residual", "AdaptiveAvgPool2d", "Flatten", "Linear"]
    assert kinds("") == ["Flatten", "Linear"]


def test_sizes_are_those_of_lenet() -> None:
    ours = net("layers", 1, 28, layers="c6k5 mp c16k5 mp fc120 fc84")
    assert ours.get_submodule("fc5").in_features == 16 * 4 * 4
    assert count(ours) == 6 * 26 + 16 * 151 + 120 * 257 + 84 * 121 + 10 * 85
    assert ours(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_activation_init_and_norm_are_those_of_the_knobs() -> None:
    ours = net("layers", 1, 8, layers="c4k3same bn fc8", activation="tanh", init="zeros", norm="layer")
    found = {type(layer) for layer in ours.modules()}
    assert nn.Tanh in found and nn.ReLU not in found and nn.BatchNorm2d not in found
    assert all(not layer.weight.any() for layer in ours.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    assert nn.BatchNorm2d not in {type(layer) for layer in net("layers", 1, 8, layers="c4k3 bn", norm="none").modules()}


def test_a_residual_block_halves_the_map_and_zero_last_gamma_finds_it() -> None:
    from cockpit.recipe import loads

    ours = net("layers", 3, 9, layers="r8 r16s2")
    assert isinstance(ours.get_submodule("block2"), Residual)
    assert ours.get_submodule("head").in_features == 16 * 5 * 5
    recipe = loads("{model: {name: layers, layers: r8 gap}, tricks: {zero_last_gamma: on}}")
    net_ = recipe.tricks["zero_last_gamma"].model(ours, None)  # type: ignore[attr-defined]
    assert sum(not norm.weight.any() for norm in net_.modules() if isinstance(norm, nn.BatchNorm2d)) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("c32k5 cov64k3", "layers: 'cov64k3' is no layer; did you mean c64k3?"),
        ("C32K5SAME", "did you mean c32k5same?"),
        ("fc84x", "did you mean fc84x9?"),
        ("fc", "did you mean fc84?"),
        ("dropout0.5", "did you mean do0.5?"),
        ("relu", "layers: 'relu' is no layer; the words are c32k5, c32k5same, r32, r32s2, mp, bn, do0.3, gap, fc84, fc84x9"),
        ("mp mp mp mp mp", "layers: mp (word 5) cannot halve a map of 1x1"),
        ("c4k3 c4k30", "layers: c4k30 (word 2) does not fit: a map of 26x26 reaches it; add same, or pool less"),
        ("c4k4same", "layers: c4k4same (word 1) cannot keep the size: same needs an odd side"),
        ("fc8 c4k3", "layers: c4k3 (word 2) needs a map, and the layers before it have made a vector"),
        ("gap gap", "layers: gap (word 2) needs a map"),
        ("fc8 mp", "layers: mp (word 2) needs a map"),
        ("do1", "layers: do1 (word 1) drops everything; the share must be below 1"),
        ("fc0", "layers: fc0 (word 1) has 0 where a number from 1 to 65,536 is meant"),
        ("fc8x99999999999999", "where a number from 1 to 1,000 is meant"),
        ("fc8x999 fc8", "layers: more than 1000 layers"),
        ("r8s9", "layers: r8s9 (word 1) has 9 where a number from 1 to 4 is meant"),
    ],
)
def test_a_wrong_word_is_named_with_the_nearest_right_one(line: str, words: str) -> None:
    with pytest.raises(ValueError) as error:
        net("layers", 1, 28, layers=line)
    assert words in str(error.value)
