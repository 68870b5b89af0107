"""A recipe survives being written and read, and differences between recipes survive as edits; over every card there is."""

import random
import string
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import recipe_catalog
import yaml

from cockpit import catalog
from cockpit.cards import Card, Knob, knobs_of
from cockpit.families import CHOICES, discriminator
from cockpit.recipe import Recipe, RecipeError, Train, changes, dump, loads, to_tree
from cockpit.recipe.conflicts import reason
from cockpit.recipe.members import Active

TEXTS = [
    "plain",
    "",
    " ",
    "off",
    "null",
    "~",
    "1e-3",
    "a: b",
    "# no comment",
    "'",
    '"',
    "é ü 漢 🙂",
    "two\nlines",
    "two\n\n lines \n",
    "- x",
]
TEXTS += [
    "\ttab",
    "trail ",
    "{",
    "*a",
    "!t",
    "x" * 300,
    "w " * 200,
    "\x1b",
    "---",
    "\u2028",
    "%",
    "a\n",
    "\n",
    "\r\n",
    "on",
    "0x10",
]


def some_text(rng: random.Random) -> str:
    return rng.choice(TEXTS) if rng.random() < 0.7 else "".join(rng.choices(string.printable, k=rng.randint(1, 30)))


def some_number(rng: random.Random, knob: Knob, kind: str) -> int | float:
    low = knob.low if knob.low is not None else knob.above if knob.above is not None else -5
    high = knob.high if knob.high is not None else knob.below if knob.below is not None else low + 10 ** rng.uniform(0, 9)
    if kind == "int":
        return rng.randint(int(low) + (knob.above is not None), int(high) - (knob.below is not None))
    return rng.uniform(low + (high - low) * 1e-9, high * (1 - 1e-9)) if rng.random() < 0.8 else low + (high - low) * 1e-7


def some_value(rng: random.Random, knob: Knob) -> Any:
    if knob.optional and rng.random() < 0.3:
        return None
    if knob.type.startswith("list["):
        item = replace(knob, type=knob.type[5:-1], optional=False)
        return [some_value(rng, item) for _ in range(rng.randint(1, 4))]
    if knob.choices:
        return rng.choice(knob.choices)
    if knob.type in ("int", "float"):
        return some_number(rng, knob, knob.type)
    if knob.type in ("bool", "str"):
        return rng.random() < 0.5 if knob.type == "bool" else some_text(rng)
    return some_member(rng, knob.type)


def some_knobs(rng: random.Random, knobs: tuple[Knob, ...]) -> dict[str, Any]:
    return {knob.name: some_value(rng, knob) for knob in knobs if knob.required or rng.random() < 0.6}


def some_member(rng: random.Random, family: str) -> Any:
    card = rng.choice(list(catalog.family(family).values()))
    return {discriminator(family): card.name, **some_knobs(rng, card.knobs)}


def some_tricks(rng: random.Random) -> Iterator[Card]:
    taken: list[Card] = []
    toggles = list(catalog.toggles().values())
    for card in rng.sample(toggles, k=min(8, len(toggles))):  # of too many, some would never go together
        if rng.random() < 0.5 and not any(reason(Active(card, ""), Active(other, "")) for other in taken):
            taken.append(card)
            yield card


def some_recipe(rng: random.Random) -> Recipe | None:
    """A recipe from random knobs; None where the knobs, each legal, do not go together."""
    tree: dict[str, Any] = {
        "about": some_text(rng),
        "seed": rng.randint(0, 2**32 - 1),
        "train": some_knobs(rng, knobs_of(Train)),
    }
    tree |= {family: some_member(rng, family) for family in CHOICES}
    tree["tricks"] = {card.name: some_knobs(rng, card.knobs) for card in some_tricks(rng)}
    tree["flags"] = {name: rng.choice([False, some_knobs(rng, card.knobs)]) for name, card in catalog.flags().items()}
    try:
        return loads(yaml.safe_dump(tree, allow_unicode=True))
    except RecipeError as error:
        rules = ("expected", "unknown", "missing", "YAML")
        assert not any(word in fault.message for fault in error.faults for word in rules), str(error)
        return None


@pytest.fixture(params=["small", "real"])
def cards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "small":
        monkeypatch.setattr(catalog, "catalog", lambda: recipe_catalog.CARDS)


@pytest.mark.parametrize("seed", range(3))
def test_written_recipes_read_back_equal(cards: None, seed: int) -> None:
    rng = random.Random(seed)
    recipes = [recipe for _ in range(25) if (recipe := some_recipe(rng))]
    assert len(recipes) > 3
    for recipe in recipes:
        text = dump(recipe)
        assert loads(text) == recipe, text
        assert dump(loads(text)) == text


def test_changes_are_edits(cards: None) -> None:
    rng = random.Random(5)
    recipes = [recipe for _ in range(25) if (recipe := some_recipe(rng))]
    for old, new in pairwise(recipes):
        edits = [f"{change.path}={change.new}" for change in changes(old, new)]
        assert loads(dump(old), edits=edits) == new


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "catalog", lambda: recipe_catalog.CARDS)


def test_layout(small: None) -> None:
    recipe = loads("""
        model: {name: mlp, activation: {name: leaky_relu}, norm: none}
        optimizer: {lr: 5.0e-6}
        tricks: {mix_up: on, random_flip: on}
        flags: {dead_relu: off, overfitting: {patience: 3}}
        about: On one line.
    """)
    assert dump(recipe) == (
        "about: On one line.\n"
        "seed: 0\n"
        "data: {source: digits, val: 0.1, split_seed: 0, limit: null, standardise: train, keep: auto, mirror: null}\n"
        "model:\n"
        "  name: mlp\n"
        "  activation: {name: leaky_relu, negative_slope: 0.01}\n"
        "  init: he_normal\n"
        "  norm: none\n"
        "  widths: [128, 64]\n"
        "  dropouts: null\n"
        "loss: cross_entropy\n"
        "optimizer: {name: sgd, lr: 5.0e-06, momentum: 0.9, weight_decay: 0.0, nesterov: off}\n"
        "schedule: {name: cosine, warmup_epochs: 0.0, warmup_from: 0.01, floor: 0.0}\n"
        "score: accuracy\n"
        "train: {epochs: 10, batch_size: 128, device: auto, precision: auto, channels_last: off, compile: eager, "
        "drop_last: on, keep: 0,\n"
        "  oom: fail, checkpoint_minutes: 10.0, probe_every: 10}\n"
        "tricks:\n"
        "  mixup: {alpha: 0.2, per: batch}\n"
        "  random_flip: on\n"
        "flags: {dead_relu: off}\n"
    )


def test_flags_show_all_their_knobs_where_one_differs(small: None) -> None:
    assert to_tree(loads("flags: {overfitting: {patience: 4}}"))["flags"] == {"overfitting": {"patience": 4, "then": "note"}}
    assert "flags" not in to_tree(loads("{}"))


def test_floats_read_back_bit_for_bit(small: None) -> None:
    rng = random.Random(0)
    for _ in range(200):
        lr = 10 ** rng.uniform(-300, 300)
        assert loads(f"optimizer: {{lr: {lr!r}}}").optimizer.lr == lr
        assert f"lr: {lr!r}".split("e")[0].removesuffix(".0") in dump(loads(f"optimizer: {{lr: {lr!r}}}"))
