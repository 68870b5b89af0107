"""`pretrain:` is short for a trick; `timm:name` and `torch:name` hand a name on to a library."""

import pytest

from cockpit.recipe import RecipeError, dump, loads

VIT = "model: vit\n"


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("pretrain: masked_autoencoder", 0.75),
        ("pretrain: {name: masked_autoencoder, mask: 0.5}", 0.5),
        ("tricks: {no_decay_1d: on}\npretrain: masked_autoencoder", 0.75),
    ],
)
def test_pretraining_is_a_trick(text: str, mask: float) -> None:
    recipe = loads(VIT + text)
    assert recipe.tricks["masked_autoencoder"].mask == mask
    assert ("no_decay_1d" in recipe.tricks) == ("no_decay" in text)
    assert loads(dump(recipe)) == recipe


def test_no_pretraining_is_none() -> None:
    assert loads(VIT + "pretrain: none").tricks == loads(VIT + "pretrain:").tricks == {}
    assert set(loads(VIT, edits=["pretrain=masked_token"]).tricks) == {"masked_token"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pretrain: masked_auto", "my.yaml:2:1: pretrain: expected one of masked_autoencoder, masked_token"),
        ("pretrain: {mask: 0.5}", "my.yaml:2:1: pretrain: expected one of masked_autoencoder, masked_token, got no name"),
        ("pretrain: {name: masked_token, maks: 0.4}", "my.yaml:2:32: tricks.masked_token: unknown key 'maks'"),
        ("pretrain: masked_token\ntricks: {masked_token: on}", "my.yaml:2:1: pretrain: tricks.masked_token says it already"),
    ],
)
def test_a_wrong_pretraining_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        loads(VIT + text, "my.yaml")
    assert str(caught.value).startswith(said)


def test_names_are_handed_on() -> None:
    recipe = loads("optimizer: {name: 'timm:lion', lr: 1.0e-3}\nmodel: torchvision:resnet18")
    assert (recipe.optimizer.card.name, recipe.optimizer.which, recipe.model.which) == ("timm", "lion", "resnet18")
    assert loads(dump(recipe)) == recipe
    with pytest.raises(RecipeError, match=r"<text>:1:\d+: optimizer: unknown optimizer 'adam:x'"):
        loads("optimizer: adam:x")
