"""The cases, and the reference that says in plain PyTorch what each of them means."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

CASES = Path(__file__).parents[3] / "shared" / "cases" / "development.yaml"
"""The default of --from: the file of cases, beside which lies the reference, plain_runner.py."""
TUNED_ON = frozenset({"autotrainer", "constructed", "umlaut"})
"""Families whose runs thresholds may be chosen by; the others, thedeepchecker, stackoverflow and pytorch, only report."""


@dataclass(frozen=True)
class Case:
    """One case, and the file it stands in."""

    spec: Mapping[str, Any]
    file: Path

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.spec["id"])

    @property
    def tuning(self) -> bool:
        """Whether its family may tune thresholds: decided by its origin, before any run."""
        return self.spec["origin"] in TUNED_ON

    @property
    def expected(self) -> tuple[str, ...]:
        """The findings of which one must name the illness."""
        return tuple(self.spec["expected"])

    @property
    def bound(self) -> float | None:
        """The validation accuracy that a cured run reaches; None where the case says it in other words, or not at all."""
        bound = self.spec.get("repair", {}).get("fixed_if_val_acc_at_least")
        return None if bound is None else float(bound)

    @property
    def repaired_by(self) -> str:
        """recipe, own_loop or none."""
        return str(self.spec.get("repair", {}).get("by", "none"))

    def health(self, accuracy: float) -> str:
        """`sick`, `healthy`, or `unscored`, of a run that ended at this clean validation accuracy."""
        truth = self.spec["truth"]
        if self.spec["health"] == "healthy":
            return "healthy" if accuracy >= truth.get("healthy_if_val_acc_at_least", 0.0) else "unscored"
        if not self.expected:
            return "unscored"  # no curve shows it, and any warning is still a false alarm
        if truth["by"] == "construction":
            return "sick"
        return "healthy" if accuracy >= truth["sick_if_val_acc_below"] else "sick"


def cases(file: Path, wanted: str = "*") -> list[Case]:
    """The cases whose names match one of the patterns, healthy ones and short ones first."""
    patterns = wanted.split(",")
    found = [
        Case({"schedule": {"name": "constant"}, "defects": [], "tricks": {}, **spec}, file)
        for spec in yaml.safe_load(file.read_text(encoding="utf-8"))
        if any(fnmatch(spec["id"], pattern) for pattern in patterns)
    ]
    return sorted(found, key=lambda case: (case.spec["health"] != "healthy", _work(case.spec)))


def _work(spec: Mapping[str, Any]) -> float:
    weight = {"mlp": 1, "cnn": 10, "resnet": 30}.get(spec["model"]["family"], 30)
    return float(weight * spec["train"]["epochs"] * spec["data"]["train"])


@cache
def reference(file: Path) -> ModuleType:
    """plain_runner.py: data, network and loss of a case, as its author wrote them down."""
    spec = importlib.util.spec_from_file_location("plain_runner", file.parent / "plain_runner.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
