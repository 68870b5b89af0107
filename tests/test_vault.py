"""The seal holds: one module opens the vault, and a training never keeps a test pixel."""

import ast
import sys
import weakref
from pathlib import Path

import cockpit
from cockpit.engine.data.vault import Vault

PACKAGE = Path(cockpit.__file__).parent


def users(name: str) -> set[str]:
    """The modules that have this attribute of anything."""

    def has(path: Path) -> bool:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        return any(isinstance(node, ast.Attribute) and node.attr == name for node in nodes)

    return {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if has(path)}


def spelt(word: str) -> set[str]:
    """The modules that have this word anywhere, in a string for `getattr` too."""
    return {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if word in path.read_text(encoding="utf-8")}


def test_only_the_test_command_opens_the_vault():
    assert spelt("open_for_look") == {"engine/testing.py", "engine/data/vault.py"}


def test_only_the_vault_touches_what_is_sealed():
    """`load` may count the sealed images and hand them to the vault."""
    assert users("sealed") == {"engine/data/load.py"}
    assert users("_sealed") == {"engine/data/vault.py"}


def test_a_training_hashes_the_test_images_once_and_keeps_none(fly, monkeypatch):
    opened, kept = [], []
    real = Vault.open_for_look

    def watched(vault):
        opened.append(sys._getframe(1).f_code.co_name)
        images = real(vault)
        kept.append(weakref.ref(images.pixels))
        return images

    monkeypatch.setattr(Vault, "open_for_look", watched)
    flight = fly()
    assert flight.end.state == "finished"
    assert opened == ["_hashes"]
    assert [pixels() for pixels in kept] == [None]
    assert not flight.run.ledger.exists()
