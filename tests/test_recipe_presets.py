"""The shipped recipes, by name."""

from pathlib import Path

import pytest

from cockpit.recipe import Recipe, RecipeError, load, presets
from cockpit.recipe.shipped import locate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "first_flight.yaml").write_text("# a comment\nabout: >\n  A first\n  flight.\nseed: 4\n")
    (tmp_path / "quiet.yaml").write_text("seed: 1\ndata: {source: digits}\n")
    (tmp_path / "broken.yaml").write_bytes(b"\xff: [")
    monkeypatch.setattr("cockpit.recipe.shipped.folder", lambda: tmp_path)
    return tmp_path


def test_list(folder: Path) -> None:
    assert [(preset.name, preset.about) for preset in presets()] == [
        ("broken", ""),
        ("first_flight", "A first flight."),
        ("quiet", ""),
    ]


def test_about_is_read_without_the_rest(folder: Path) -> None:
    (folder / "broken.yaml").write_text("about: good\nrest: [\n" + "x: [1\n" * 1000)
    assert presets()[0].about == "good"


def test_by_name_or_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate("first_flight") == folder / "first_flight.yaml"
    assert locate(str(folder / "quiet.yaml")) == folder / "quiet.yaml"
    monkeypatch.chdir(folder)
    assert locate("quiet.yaml") == Path("quiet.yaml")
    assert locate("./quiet.yaml") == Path("quiet.yaml")


def test_near_misses(folder: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        locate("first_fligth")
    assert str(caught.value) == "no recipe file and no preset is called 'first_fligth'; did you mean 'first_flight'?"
    with pytest.raises(RecipeError, match="`cockpit presets` lists the shipped ones"):
        locate("zzz")


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_shipped_preset_decodes(preset: object) -> None:
    name = preset.name  # type: ignore[attr-defined]
    assert isinstance(load(name), Recipe)
    assert preset.about  # type: ignore[attr-defined]
