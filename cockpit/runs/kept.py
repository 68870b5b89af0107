"""The kept checkpoints of a run, looked at without torch: which there are, whether they are whole, and their step."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

from cockpit.runs.archive import inspect
from cockpit.runs.directory import RunDir, RunError

NAMED = ("last", "best", "healthy")


class _Inert(dict[Any, Any]):
    """Stands for whatever a pickle asks to be made: nothing of it is imported, and nothing of it runs."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    __hash__ = object.__hash__  # type: ignore[assignment]  # it may be the key of another

    def __setstate__(self, _: Any) -> None:
        pass


class _Outline(pickle.Unpickler):
    """Numbers, words, lists and dicts as they are; weights and everything else as inert stand-ins."""

    def find_class(self, module: str, name: str, /) -> Any:
        return _Inert

    def persistent_load(self, _: Any) -> None:
        return None


def step_of(path: Path) -> int:
    """The step at which a checkpoint was written, by its own word; every byte of it is checked first.

    RunError where it is damaged; FileNotFoundError or PermissionError where it cannot be opened.
    """
    try:
        inspect(path)
        with zipfile.ZipFile(path) as archive:
            (outline,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(outline) as file:
                return int(_Outline(file).load()["step"])
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # a damaged file makes the readers of zip and pickle raise whatever they like
        raise RunError(f"checkpoint {path.name} is damaged: it is no whole file of ours; --at names another") from error


def places(run: RunDir) -> list[str]:
    """Every checkpoint from which a run can be forked, as --at takes it: last, best, healthy, 'epoch 3'."""
    epochs = (re.fullmatch(r"epoch_(\d+)", path.stem) for path in sorted(run.checkpoint("last").parent.glob("epoch_*.pt")))
    return [which for which in NAMED if run.checkpoint(which).exists()] + [f"'epoch {int(e[1])}'" for e in epochs if e]
