"""The example without a library, as a user would run it; those of libraries are in test_watch_adapters.py."""

import subprocess
import sys
from pathlib import Path

from commands import answer

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_plain_loop() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES / "plain_loop.py"), "2"], check=True, timeout=120, capture_output=True)
    assert b"epoch 2: validation accuracy" in done.stdout and not done.stderr
    shown = answer("show", "plain_loop")
    assert (shown["state"], shown["epochs"], shown["step"]) == ("finished", 2, 94)
    assert shown["last"]["val_accuracy"] > 0.9 and shown["flags"] == [] and shown["notes"] == []


def test_every_example_is_short() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 80, path
