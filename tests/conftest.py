"""What every test shares: one thread for torch, a place for runs, and a short way to fly a recipe."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY = """
about: a test
data: {source: digits, limit: 200}
model: {name: mlp, widths: [16], norm: none}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
schedule: constant
train: {epochs: 2, batch_size: 32, device: cpu, precision: fp32}
"""
"""A recipe that trains in a blink: 6 steps an epoch."""


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "runs"
    monkeypatch.setenv("COCKPIT_RUNS", str(root))
    return root


@pytest.fixture
def fly(runs: Path) -> Callable[..., object]:
    """Fly a recipe to its end in this thread; returns the flight."""
    import torch

    from cockpit.host.flight import Flight
    from cockpit.launch import new_run
    from cockpit.recipe import loads

    torch.set_num_threads(1)

    def start(text: str = TINY, *edits: str, name: str = "test") -> Flight:
        run = new_run(loads(text, edits=edits), runs, name, allow_code=True, command=[])
        flight = Flight(run, say=lambda text: None)
        flight.fly()
        return flight

    return start


@pytest.fixture
def canned_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small catalogue of the tests, so that new tricks change no picture and no flow."""
    import recipe_catalog

    from cockpit import catalog

    monkeypatch.setattr(catalog, "catalog", lambda: recipe_catalog.CARDS)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """A recipe file that goes with the small catalogue."""
    import ui_canned

    path = tmp_path / "canned.yaml"
    path.write_text(ui_canned.RECIPE, encoding="utf-8")
    return str(path)
