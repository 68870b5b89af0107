"""The generated pages are those of the cards that stand."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["tricks.md", "flags.md"])
def test_the_page_is_what_the_cards_say(name):
    assert (DOCS / name).read_text(encoding="utf-8") == generator().pages()[name], "run `python docs/generate.py`"
