"""Wrong recipes: every fault at once, in exact words, at the right place, and never a traceback."""

import random
from pathlib import Path

import pytest
import recipe_catalog
import yaml

from cockpit import catalog
from cockpit.recipe import RecipeError, load, loads
from cockpit.recipe.nodes import parse

WRONG = yaml.safe_load((Path(__file__).parent / "recipes" / "wrong.yaml").read_text(encoding="utf-8"))

LONG = """\
# A recipe of every kind of section.
about: every section
seed: 3
data: {source: folder, path: images, val: 0.2, limit: 100}

model:
  name: mlp
  activation:
    name: leaky_relu
    negative_slope: 0.2
  widths:
    - 64
    - 32
loss: cross_entropy
optimizer: {name: sgd, lr: 0.1, momentum: 0.8}   # é before the end moves no column
schedule: {name: "cosine", warmup_epochs: 1, floor: 0.01}
train: {epochs: 4, batch_size: 16}
tricks:
  mixup: {alpha: 0.3}
  weight_ema: {decay: 0.99, every: 2}
flags:
  overfitting: {patience: 4}
"""


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "catalog", lambda: recipe_catalog.CARDS)


def said(text: str | bytes, file: str = "my.yaml") -> str:
    with pytest.raises(RecipeError) as caught:
        loads(text, file)
    return str(caught.value)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_recipe(name: str) -> None:
    assert said(WRONG[name]["text"]) == WRONG[name]["says"].strip()


def test_there_are_enough_wrong_recipes() -> None:
    assert len(WRONG) >= 45


NUMBERS = ("3", "0.2", "100", "64", "32", "0.1", "0.8", "1", "0.01", "4", "16", "0.3", "0.99", "2")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_fault_stands_where_the_value_stands(number: str) -> None:
    """Each number of a long recipe in turn is replaced by a word; the place must be that of the word."""
    loads(LONG)
    at = next(
        i for i in range(len(LONG)) if LONG.startswith(number, i) and LONG[i - 1] in " " and LONG[i + len(number)] in ",}\n"
    )
    wrong = LONG[:at] + "word" + LONG[at + len(number) :]
    line, column = wrong[:at].count("\n") + 1, at - wrong.rfind("\n", 0, at)
    with pytest.raises(RecipeError) as caught:
        loads(wrong, "long.yaml")
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column) == ("long.yaml", line, column)
    assert "got 'word'" in fault.message


def test_two_broken_numbers_are_both_found() -> None:
    faults = said(LONG.replace("0.2\n", "steep\n").replace("epochs: 4", "epochs: four")).splitlines()
    assert [line.split(": ")[1] for line in faults] == ["model.activation.negative_slope", "train.epochs"]


def test_tab_after_an_indent() -> None:
    assert said("tricks:\n  mixup:\n  \talpha: 1\n").startswith("my.yaml:3:3: a tab stands here")


@pytest.mark.parametrize("text", ["seed: 1\nabout: caf\xe9\n".encode("latin-1"), "seed: 1\nabout: caf\xe9\n".encode("cp1252")])
def test_not_utf8(text: bytes) -> None:
    assert said(text) == "my.yaml:2:11: byte 0xe9 is not UTF-8; save the file as UTF-8 text"


def test_utf16_and_a_null_byte() -> None:
    assert said("seed: 1\n".encode("utf-16")) == "my.yaml:1:1: byte 0xff is not UTF-8; save the file as UTF-8 text"
    assert said(b"seed: 1\nabout: a\x00b\n") == "my.yaml:2:9: the character U+0000 is not allowed in YAML"
    assert loads(b"\xef\xbb\xbfseed: 7\n").seed == 7


def test_large_file_is_refused_unparsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "SafeLoader", None)  # parsing would fail
    path = tmp_path / "big.yaml"
    path.write_bytes(b"seed: 1\n" * 1_250_000)
    with pytest.raises(RecipeError) as caught:
        load(str(path))
    assert str(caught.value) == f"{path}: larger than 1 MB, which no recipe is; is it the right file?"


def test_too_many_values_and_too_deep() -> None:
    assert said("seed: [" + "1, " * 30_000 + "]").endswith(
        "more than 20,000 values, which no recipe has; is it the right file?"
    )
    for opening in ("[", "{a: ", "- "):
        assert "nested more than 20 levels deep" in said(opening * 50_000)


def test_escape_that_python_cannot_read() -> None:
    assert said('about: "\\UFFFFFFFF"\n').startswith("my.yaml:1:")


def test_aliases_cannot_blow_up() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join(['*' + old] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    root, faults = parse("\n".join(lines), "bomb.yaml")
    assert len(root.entries) == 9
    assert len(faults) == 9 + 8 * 9


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("seed: 1\n")
    with pytest.raises(RecipeError, match=r"no recipe file and no preset is called .*; did you mean 'mine.yaml'"):
        load(str(tmp_path / "mien.yaml"))
    with pytest.raises(RecipeError, match=r"this is a folder, not a recipe; did you mean .*mine.yaml"):
        load(str(tmp_path))
    for name in ("", "\0", "x" * 5000, "no/such/folder/x.yaml"):
        with pytest.raises(RecipeError):
            load(name)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seed: 1\n")

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RecipeError) as caught:
        load(str(path))
    assert str(caught.value) == f"{path}: cannot be read: Permission denied"


PIECES = [
    ": ",
    "\n",
    "  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "*a",
    "&a ",
    "!!x ",
    "'",
    '"',
    "|",
    "#",
    "\t",
    "%",
    "on",
    "null",
    "1e9",
    "\\",
]
PIECES += ["...", "---", "\x07", "é", "mixup", "optimizer", "name", "?", ",", "'\\u00e9'", "\u2028", "9" * 5000, "\ud800", "<<"]


@pytest.mark.parametrize("seed", range(8))
def test_mutated_recipes_never_raise_anything_else(seed: int) -> None:
    rng = random.Random(seed)
    texts = [LONG, *(case["text"] for case in WRONG.values())]
    for _ in range(60):
        text = rng.choice(texts)
        for _ in range(rng.randint(1, 4)):
            at, cut = rng.randint(0, len(text)), rng.choice((0, 0, 1, 5))
            text = text[:at] + rng.choice(PIECES) + text[at + cut :]
        try:
            loads(text, edits=["optimizer.lr=0.2", "tricks.mixup.alpha=1"] if rng.random() < 0.5 else [])
        except RecipeError as error:
            assert error.faults
            assert str(error).encode("utf-8")


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_never_raise_anything_else(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        alphabet = rng.choice((range(256), range(32, 127), b":{}[]\n -'\"&*!|>%@`?,#ab"))
        with pytest.raises(RecipeError):
            loads(bytes(rng.choices(alphabet, k=rng.randint(0, 40))))
