"""What right recipes mean: scalars by the knob they are for, sections, members, tricks and flags."""

import subprocess
import sys
from typing import Any

import pytest
import recipe_catalog as cards

from cockpit import catalog
from cockpit.cards import Knob
from cockpit.families import CHOICES
from cockpit.recipe import Train, lay, loads
from cockpit.recipe.conflicts import against, reason
from cockpit.recipe.faults import Place
from cockpit.recipe.members import Active
from cockpit.recipe.nodes import Scalar
from cockpit.recipe.scalars import UnfitError, decode_scalar


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "catalog", lambda: cards.CARDS)


def read(text: str, type_: str, *, quoted: bool = False, **limits: Any) -> Any:
    return decode_scalar(Scalar(Place("x"), text, quoted), Knob("x", type_, None, "", **limits))


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        *[
            ("1e-3", "float", 0.001),
            ("5.0e-4", "float", 0.0005),
            (".5", "float", 0.5),
            ("2.", "float", 2.0),
            ("-1E2", "float", -100.0),
        ],
        *[("1", "float", 1.0), ("+1_000.5", "float", 1000.5), ("1_000", "int", 1000), ("1.0", "int", 1), ("1e3", "int", 1000)],
        *[("-7", "int", -7), ("007", "int", 7), ("9007199254740993", "int", 9007199254740993), ("0", "int", 0)],
        *[(word, "bool", True) for word in ("on", "yes", "true", "True", "ON")],
        *[(word, "bool", False) for word in ("off", "no", "false", "False", "NO")],
        *[("off", "str", "off"), ("1e-3", "str", "1e-3"), ("nan", "str", "nan"), ("auto", "str", "auto")],
    ],
)
def test_scalar(text: str, type_: str, value: object) -> None:
    got = read(text, type_)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("text", ["null", "~", "", "Null", "NULL"])
def test_null(text: str) -> None:
    for type_ in ("int", "float", "bool", "str", "choice"):
        assert read(text, type_, optional=True) is None
        with pytest.raises(UnfitError):
            read(text, type_, choices=("a",) if type_ == "choice" else ())
    assert read(text, "str", quoted=True) == text


@pytest.mark.parametrize(
    "text", ["nan", ".NaN", "-inf", ".inf", "1e999", "0x1f", "1:30", "1__0", "_1", "1_", "١", "9" * 61, "on", "1 2"]
)
def test_not_a_number(text: str) -> None:
    for type_ in ("int", "float"):
        with pytest.raises(UnfitError):
            read(text, type_)


@pytest.mark.parametrize(
    ("limits", "inside", "outside"),
    [
        ({"low": 0}, ("0", "5"), ("-0.1",)),
        ({"above": 0}, ("1e-9",), ("0", "-1")),
        ({"low": 0, "high": 1}, ("0", "1"), ("-1", "1.01")),
        ({"low": 0, "below": 1}, ("0", "0.99"), ("1",)),
        ({"above": 0, "high": 4}, ("4",), ("0", "4.1")),
    ],
)
def test_ranges(limits: dict[str, float], inside: tuple[str, ...], outside: tuple[str, ...]) -> None:
    for text in inside:
        assert read(text, "float", **limits) == float(text)
    for text in outside:
        with pytest.raises(UnfitError):
            read(text, "float", **limits)


def test_choices_keep_their_type() -> None:
    assert read("3", "choice", choices=(3, 5)) == 3
    assert read("off", "choice", choices=("on", "off")) == "off"
    assert read("2", "choice", quoted=True, choices=("1", "2")) == "2"


def test_a_silent_recipe_takes_the_defaults() -> None:
    recipe = loads("{}")
    assert recipe.seed == 0
    assert recipe.about == ""
    assert recipe.model == cards.SmallCnn(activation=cards.Relu(), init=cards.HeNormal(), norm=cards.Batch())  # type: ignore[call-arg]
    assert recipe.optimizer == cards.Sgd()
    assert recipe.train == Train()
    assert recipe.tricks == {}
    assert recipe.flags == {"overfitting": cards.Overfitting(), "dead_relu": cards.DeadRelu()}


def test_empty_sections_are_defaults() -> None:
    text = "".join(f"{section}:\n" for section in ("about", "seed", *CHOICES, "train", "tricks", "flags"))
    assert loads(text) == loads("{}")


def test_sections() -> None:
    recipe = loads("""
        about: >
          two
          lines
        data: {source: folder, path: 2024, size: 32}
        model: {name: mlp, activation: {name: leaky_relu, negative_slope: .2}, norm: none, widths: [1_0, 5.0],
                dropouts: [0, 0.5]}
        optimizer: adamax_free
        schedule: {warmup_epochs: 1}
        train: {drop_last: no, precision: "bf16"}
    """)
    assert recipe.about == "two lines\n"
    assert recipe.data == cards.Folder(path="2024", size=32)
    assert recipe.model == cards.Mlp(
        activation=cards.LeakyRelu(0.2),
        init=cards.HeNormal(),
        norm=cards.NoNorm(),
        widths=(10, 5),
        dropouts=(0.0, 0.5),
    )
    assert recipe.optimizer == cards.Adam()
    assert recipe.schedule == cards.Cosine(warmup_epochs=1.0)
    assert recipe.train == Train(drop_last=False, precision="bf16")


def test_tricks_and_flags() -> None:
    recipe = loads("""
        tricks:
          mix_up: {alpha: 1}
          random_flip:
          weight_ema: on
          cutmix: off
        flags:
          dead_relu: off
          overfitting: {patience: 9}
    """)
    assert recipe.tricks == {
        "mixup": cards.Mixup(alpha=1.0),
        "random_flip": cards.RandomFlip(),
        "weight_ema": cards.WeightEma(),
    }
    assert recipe.flags == {"overfitting": cards.Overfitting(patience=9)}


def test_plan_follows_seams_stages_and_names() -> None:
    recipe = loads("tricks: {weight_ema: on, mixup: on, random_flip: on, label_smoothing: on}")
    assert lay(loads("{}")) == {}
    assert list(lay(recipe).items()) == [
        ("loss", ("label_smoothing",)),
        ("batch", ("random_flip", "mixup")),
        ("weights", ("weight_ema",)),
        ("evaluate", ("weight_ema",)),
    ]


def test_conflicts_go_both_ways() -> None:
    mixup, cutmix = catalog.toggles()["mixup"], catalog.toggles()["cutmix"]
    assert (
        reason(Active(mixup, ""), Active(cutmix, ""))
        == reason(Active(cutmix, ""), Active(mixup, ""))
        == "a batch is mixed once"
    )
    assert reason(Active(mixup, ""), Active(catalog.toggles()["random_flip"], "")) == ""
    recipe = loads("tricks: {cutmix: on}\nloss: mse")
    assert against(mixup, recipe) == {"tricks.cutmix": "a batch is mixed once"}
    assert against(cutmix, recipe) == {}
    assert against(catalog.toggles()["label_smoothing"], recipe) == {"loss": "mse takes classes"}
    assert against(catalog.toggles()["self_norm"], recipe) == {"model.norm": "it replaces the norm layers"}
    assert against(catalog.family("loss")["mse"], loads("tricks: {smoothing: on}")) == {
        "tricks.label_smoothing": "mse takes classes"
    }


def test_importing_recipes_imports_no_torch_and_no_textual() -> None:
    code = "import sys, cockpit.recipe; print([name for name in ('torch', 'textual', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
