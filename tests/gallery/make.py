"""Packs recorded runs into the gallery, reads them back, and writes down what the flags find in them.

    python tests/gallery/make.py pack NAME RUN_DIRECTORY ABOUT [MUST,MUST]   adds a run; without MUST it is a healthy one
    python tests/gallery/make.py                                            judges every run anew: `found` of expected.yaml

`must` and the line between sick and healthy are the truth, and written by hand; `found` is what the flags say today.
Measurements are kept to 12 binary digits: that does not matter to a flag, and a gallery must be small.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cockpit.catalog import flags
from cockpit.diagnosis import SEVERITIES, Flag
from cockpit.judge import Finding, replay
from cockpit.recipe import RecipeError, load
from cockpit.runs.directory import RunDir
from cockpit.runs.events import Flagged
from cockpit.runs.history import History, read_history
from cockpit.runs.tables import LAYERS, STEPS, Rows, blank, read_table, write_table

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "expected.yaml"
TABLES = {"steps": STEPS, "layers": LAYERS}
LEFT_OUT = ("launched", "checkpointed", "commanded")
"""Kinds of events that say where a run was made, or point to files that are not here."""
UNKNOWN = ("speed", "probing")
COUNTED = ("step", "time")
"""Columns that only grow: kept as differences."""


def expected() -> dict[str, dict[str, Any]]:
    """Name of a run -> about, must (empty: healthy), found."""
    return yaml.safe_load(EXPECTED.read_text(encoding="utf-8")) if EXPECTED.exists() else {}


def pack(run: RunDir, path: Path) -> None:
    """Write a run as one file."""
    lines = [json.loads(line) for line in run.events.read_text(encoding="utf-8").splitlines()]
    told = [_short({**line, "t": 0}) for line in lines if line["kind"] not in LEFT_OUT]
    kept = {"events": "\n".join(map(json.dumps, told)), "recipe": _bare(run.recipe.read_text(encoding="utf-8"))}
    columns = {name: np.frombuffer(text.encode(), np.uint8) for name, text in kept.items()}
    for table, dtype in TABLES.items():
        rows = read_table(run.table(table), dtype)
        for name in dtype.names or ():
            if name not in UNKNOWN:
                columns[f"{table}.{name}"] = _planes(_kept(rows[name], name))
    np.savez_compressed(path, **columns)


def _planes(column: Any) -> Any:
    """The bytes of a column, all first ones first: they compress better that way."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), -1).T.copy()


def _kept(column: Any, name: str) -> Any:
    if name in COUNTED:
        column = np.diff(column, prepend=0)
        column = column.astype(np.float32) if name == "time" else column
    if column.dtype != np.float32:
        return column
    bits = (np.ascontiguousarray(column).view(np.uint32) + 0x400) & np.uint32(0xFFFFF800)
    return np.where(np.isfinite(column), bits.view(np.float32), column).astype(np.float32)


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, list) else _bare(value) if isinstance(value, str) else value


def _bare(text: str) -> str:
    """Without the folders of the machine it was made on, and the fingerprints of files."""
    return re.sub(r"(/[\w.-]+){2,}/|-[0-9a-f]{16}(?=\b)", "", text)


def unpack(path: Path, folder: Path) -> RunDir:
    """A run directory as a host would have left it."""
    run = RunDir(folder / path.stem)
    (run.path / "metrics").mkdir(parents=True)
    with np.load(path) as kept:
        run.events.write_bytes(kept["events"].tobytes() + b"\n")
        run.recipe.write_bytes(kept["recipe"].tobytes())
        for table, dtype in TABLES.items():
            rows = blank(kept[f"{table}.step"].shape[1], dtype)
            for name in dtype.names or ():
                if f"{table}.{name}" in kept:
                    rows[name] = _column(kept[f"{table}.{name}"], dtype[name], name)
            write_table(run.table(table), rows)
    return run


def _column(planes: Any, dtype: Any, name: str) -> Rows:
    column = np.ascontiguousarray(planes.T).view(np.float32 if name == "time" else dtype).ravel()
    return np.cumsum(column, dtype=dtype) if name in COUNTED else column


def flags_of(run: RunDir) -> list[Flag]:
    """The flags of its recipe; of a loop of the user's own, the usual ones."""
    try:
        return list(load(str(run.recipe)).flags.values())
    except RecipeError:
        return [card.cls() for card in flags().values()]


def worst(found: list[Finding]) -> dict[str, str]:
    """The highest severity to which each flag rose."""
    risen = [finding for finding in found if isinstance(finding, Flagged)]
    return {f.id: f.severity for f in sorted(risen, key=lambda finding: SEVERITIES.index(finding.severity))}


def judged(path: Path, folder: Path) -> tuple[RunDir, History, list[Finding]]:
    """A run of the gallery, its history, and what the flags find in it."""
    run = unpack(path, folder)
    history = read_history(run)
    return run, history, replay(history, flags_of(run))


def main(words: list[str]) -> None:
    """See the module."""
    import tempfile

    known = expected()
    if words:
        name, run = words[1], RunDir(Path(words[2]))
        pack(run, FOLDER / f"{name}.npz")
        known[name] = {"about": words[3], "must": words[4].split(",") if len(words) > 4 else []}
        print(name, (FOLDER / f"{name}.npz").stat().st_size // 1000, "kB")
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(known):
            known[name]["found"] = dict(sorted(worst(judged(FOLDER / f"{name}.npz", Path(folder))[2]).items()))
    head = "# Made by make.py but for `about` and `must`: a warning of one of these must stand; none may where it is empty.\n"
    text = yaml.safe_dump(known, width=128, sort_keys=True, default_flow_style=None)
    EXPECTED.write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
