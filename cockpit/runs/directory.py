"""A run directory: its name, its files, and how one is found again."""

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from cockpit.runs import private


class RunError(Exception):
    """A run that cannot be found or used; the text is one sentence for the user."""


@dataclass(frozen=True)
class RunDir:
    """The paths of one run."""

    path: Path

    @property
    def id(self) -> str:
        """The short id that ends the folder's name."""
        return self.path.name.rpartition("_")[2]

    @property
    def name(self) -> str:
        """The name the user or the recipe gave it."""
        parts = self.path.name.split("_", 2)
        return parts[2].rpartition("_")[0] if len(parts) == 3 else self.path.name

    @property
    def recipe(self) -> Path:
        """The recipe as started, fully resolved."""
        return self.path / "recipe.yaml"

    @property
    def launch(self) -> Path:
        """How it was started: consent, command line, versions."""
        return self.path / "launch.json"

    @property
    def events(self) -> Path:
        """The append-only truth."""
        return self.path / "events.jsonl"

    @property
    def ledger(self) -> Path:
        """Every look at the sealed test set."""
        return self.path / "ledger.jsonl"

    @property
    def mailbox(self) -> Path:
        """Commands to the host."""
        return self.path / "mailbox"

    @property
    def heartbeat(self) -> Path:
        """Who owns the run and when it was last alive."""
        return self.path / "heartbeat"

    @property
    def claim(self) -> Path:
        """Locked by the host while it lives."""
        return self.path / "claim"

    @property
    def log(self) -> Path:
        """What the host printed."""
        return self.path / "host.log"

    def table(self, name: str) -> Path:
        """A numeric table (cockpit.runs.tables)."""
        return self.path / "metrics" / f"{name}.bin"

    def checkpoint(self, which: str) -> Path:
        """`last` or `best`."""
        return self.path / "checkpoints" / f"{which}.pt"


def epoch_name(epoch: int) -> str:
    """The checkpoint of an epoch's scored weights."""
    return f"epoch_{epoch:05d}"


def runs_root(given: Path | None = None) -> Path:
    """Where runs go: the option, else COCKPIT_RUNS, else the platform's folder for the user."""
    return Path(given or os.environ.get("COCKPIT_RUNS") or platformdirs.user_data_path("cockpit") / "runs")


def create(root: Path, name: str, recipe_text: str, launch: Mapping[str, Any]) -> RunDir:
    """Make a run directory, private to its user, with the resolved recipe in it. RunError, and none is left, if it fails."""
    slug = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._") or "run"
    stamp = time.strftime("%Y-%m-%d_%H%M%S")
    try:
        _no_file(root)
        _make_root(root)
        run = _unique(root.absolute(), f"{stamp}_{slug[:60]}")
        with whole(run):
            for folder in (run.path / "metrics", run.path / "checkpoints", run.mailbox):
                private.make_folder(folder)
            private.write_text(run.recipe, recipe_text)
            private.write_text(run.launch, json.dumps(launch, indent=1))
    except OSError as error:
        raise RunError(f"cannot write a run directory under {root}: {error.strerror}") from error
    return run


@contextmanager
def whole(run: RunDir) -> Iterator[None]:
    """Take a new run directory away again where what is to be done in it fails: half of one would be listed as a run."""
    try:
        yield
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise


def _unique(root: Path, stem: str) -> RunDir:
    """An empty folder whose id no other has. It is made first and looked at then: of two made at once, both see the other."""
    drawn = 0
    while True:
        run = RunDir(root / f"{stem}_{secrets.token_hex(2 + drawn // 20)}")  # longer where most short ones are taken
        drawn += 1
        with suppress(FileExistsError):
            private.make_folder(run.path)
            with whole(run):
                if not any(RunDir(path).id == run.id and path != run.path for path in root.iterdir()):
                    return run
            run.path.rmdir()


def _make_root(root: Path) -> None:
    """The folder for all runs. One that many share is made by who shares it."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        private.make_folder(root)


def _no_file(root: Path) -> None:
    if root.is_file():
        raise RunError(f"runs are kept in a folder, and {root} is a file; COCKPIT_RUNS or --runs names another")


def list_runs(root: Path) -> list[RunDir]:
    """Every run under a folder, newest first. Raises RunError where the folder cannot be read."""
    try:
        _no_file(root)
        found = [RunDir(path) for path in root.iterdir() if _is_run(path)] if root.is_dir() else []
    except OSError as error:
        raise RunError(f"the runs under {str(root)[:200]} cannot be read: {error.strerror}") from error
    return sorted(found, key=lambda run: run.path.name, reverse=True)


def _is_run(path: Path) -> bool:
    try:
        return (path / "recipe.yaml").is_file()
    except OSError:  # another user's, and closed to us
        return False


def find(root: Path, wanted: str | None = None) -> RunDir:
    """A run by directory, id, or unique prefix of id, name or folder; the newest by default. Raises RunError."""
    try:
        if wanted and (Path(wanted) / "recipe.yaml").is_file():
            return RunDir(Path(wanted).absolute())
    except PermissionError as error:
        raise RunError(f"{str(wanted)[:200]} cannot be read: it belongs to another user, or is closed to you") from error
    except (OSError, ValueError):  # too long for a path, or a null byte: it may still be told of as a name
        pass
    runs = list_runs(root)
    if not runs:
        raise RunError(f"there are no runs under {root}; start one with `cockpit train first_flight`")
    if not wanted:
        return runs[0]
    near: list[RunDir] = []
    for fits in (
        lambda key: wanted in key[:2],
        lambda key: wanted == key[2],
        lambda key: any(k.startswith(wanted) for k in key),
    ):
        near = near or [run for run in runs if fits((run.id, run.path.name, run.name))]
    if len(near) == 1:
        return near[0]
    if not near:
        raise RunError(f"no run under {root} is called {wanted[:200]!r}; `cockpit runs` lists them")
    if len({run.id for run in near}) < len(near):  # from two folders, brought together
        raise RunError(
            f"{wanted!r} could be any of {len(near)} runs: {', '.join(run.path.name for run in near[:5])}; say the folder"
        )
    names = ", ".join(f"{run.id} ({run.name})" for run in near[:5])
    raise RunError(f"{wanted!r} could be any of {len(near)} runs: {names}; say more of the id")
