"""Variants of one recipe: the shipped ablation fits its recipe, and every fault is named with its place."""

import json
from pathlib import Path

import pytest
from conftest import TINY
from typer.testing import CliRunner

from cockpit.cli import app
from cockpit.recipe import RecipeError, changes, load
from cockpit.recipe.variants import load_variants


def test_every_variant_of_the_shipped_ablation_changes_its_recipe() -> None:
    base, variants = load("deit_mini"), load_variants("deit_ablation")
    assert {"sgd", "no_mixing", "no_erasing", "no_repeats", "ema"} <= variants.keys()
    for name, edits in variants.items():
        changed = load("deit_mini", edits)
        assert changes(base, changed), name
        if name.startswith("no_") and name not in ("no_mixup", "no_cutmix"):
            assert len(changed.tricks) == len(base.tricks) - 1, name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("small: 3", ":1:8: small: expected a list such as [optimizer.lr=0.1], got 3"),
        ("small: [optimizer.lr]", ":1:9: small: expected path=value, such as optimizer.lr=0.1, got 'optimizer.lr'"),
        ("small: [{a: b}]", ":1:9: small: expected path=value, got a mapping"),
        ("", ": no variants here; write `name: [path=value, ...]`"),
    ],
)
def test_a_wrong_variant_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_variants(str(path))
    assert str(caught.value).startswith(f"{path}{said}")


def test_an_unknown_file_has_a_near_miss() -> None:
    with pytest.raises(RecipeError, match="no file of variants is called 'deit_abl'; did you mean 'deit_ablation'"):
        load_variants("deit_abl")


def test_each_variant_is_compared_with_the_recipe_seed_by_seed(tmp_path: Path, runs: Path) -> None:
    recipe, variants = tmp_path / "tiny.yaml", tmp_path / "variants.yaml"
    recipe.write_text(TINY)
    variants.write_text("lower: [optimizer.lr=0.09]\nslow: [optimizer.lr=1.0e-4]\n")
    done = CliRunner().invoke(app, ["ablate", str(recipe), str(variants), "--seeds", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert abs(found["differences"]["lower"]["mean"]) < 0.2 and found["differences"]["slow"]["mean"] < -0.2
    assert [len(rows) for rows in found["runs"].values()] == [2, 2, 2]


def test_a_variant_that_changes_nothing_is_not_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cockpit.cli.base import words

    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "variants.yaml").write_text("same: [tricks.mixup=off]\n")
    with pytest.raises(SystemExit) as end, words():
        app(["ablate", str(tmp_path / "tiny.yaml"), str(tmp_path / "variants.yaml")], standalone_mode=False)
    assert end.value.code == 2 and "the variant 'same' changes nothing" in capsys.readouterr().err
