"""Are healthy runs left in peace? Every preset and every trick alone, whole runs, then the flags of today over all of them.

`python benchmarks/healthy.py record --out DIR` trains (run directories, checkpoints removed); `... judge DIR` replays the
flags in seconds and writes benchmarks/results/healthy.md: every finding at warning or above, and whether the run was well.

A run is well where its last validation accuracy is at least WELL of its baseline's, and LEARNED. One that is not was harmed by
its trick, or by a task of noise: a finding there is no false alarm, and is listed apart. Presets made for large machines are
scaled down, as the table says.
"""

import argparse
import json
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tricks import BASE, HOMES, variants

WELL, LEARNED = 0.85, 0.5
SMALL = ("data.limit=4000", "data.val=1000", "train.epochs=12", "train.batch_size=64")
SIGNS = ("data={source: folder, path: sign-digits, size: 32, channels: 3, val: 0.2}", "train.batch_size=128")
PRESETS: dict[str, tuple[str, ...]] = {
    "first_flight": (),
    "mnist_mlp": (),
    "mnist_one_epoch": (),
    "fashion_mnist": (),
    **{f"{name}_mini": SMALL for name in ("resnet_2015", "pytorch", "fixres", "deit", "fams", "rsb_a1", "rsb_a2", "rsb_a3")},
    "fashion_erasing": ("data.limit=1000", "data.val=1000", "train.epochs=3", "model.k=1"),
    "mae_pretrain": ("data.limit=5400", "train.epochs=5"),
    "mae_finetune": ("train.epochs=5",),
    "airbench_lite": SIGNS,
    "cifar10_resnet": (*SIGNS, "data.limit=512", "train.batch_size=32", "train.epochs=4"),
}
"""The presets that are not sick on purpose -> what was scaled down here."""
LESSONS = {
    "zeros": "a lesson: zero weights cannot learn",
    "random_labels": "a demonstration: there is nothing to learn",
}
"""Tricks that are meant to make a run sick."""


def wanted() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Key -> (label, preset or nothing for the small task, edits)."""
    found: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    for home in sorted({(), *HOMES.values()}):
        found["baseline " + " ".join(home)] = ("baseline", "", home)
    for row in variants():
        found[f"{row.group} {row.name}"] = (row.name, "", (*row.home, *row.edits))
    return found | {f"preset {name}": (name, name, edits) for name, edits in PRESETS.items()}  # the long ones last


def train(task: tuple[str, str, tuple[str, ...], str]) -> dict[str, Any]:
    """One whole run by the host itself."""
    key, preset, edits, out = task
    import torch

    from cockpit.host.host import Host
    from cockpit.launch import new_run
    from cockpit.recipe import load, loads

    torch.set_num_threads(1)
    try:
        recipe = load(preset, edits) if preset else loads(BASE, edits=edits)
        run = new_run(recipe, Path(out), key, allow_code=False, command=["benchmarks/healthy.py"])
        end = Host(run, say=lambda text: None).run()
    except Exception as error:
        return {"key": key, "error": f"{type(error).__name__}: {error}"[:300]}
    shutil.rmtree(run.path / "checkpoints")
    return {"key": key, "run": run.path.name, "home": list(HOMES.get(key.rpartition(" ")[2], ())), "end": end.state}


def record(out: Path, jobs: int, only: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    index = out / "index.jsonl"
    rows = [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []
    done = {row["key"] for row in rows if "run" in row}
    todo = [(key, preset, edits, str(out)) for key, (_, preset, edits) in wanted().items() if key not in done and only in key]
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=20) as pool, open(index, "a") as file:
        for number, row in enumerate(pool.imap_unordered(train, todo), 1):
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"{number}/{len(todo)} {row}", flush=True)


def judged(path: Path) -> dict[str, Any]:
    """What stands in one recorded run by the flags of today."""
    from cockpit.judge import replay
    from cockpit.recipe import load
    from cockpit.runs.directory import RunDir
    from cockpit.runs.events import Flagged
    from cockpit.runs.history import read_history

    run = RunDir(path)
    history = read_history(run)
    found = [event for event in replay(history, load(str(run.recipe)).flags.values()) if isinstance(event, Flagged)]
    accuracy = history.evaluations[-1].val_accuracy if history.evaluations else 0.0
    spent = float(history.steps["probing"].sum()) / max(float(history.steps["time"][-1]), 1e-9) if len(history.steps) else 0.0
    return {"accuracy": accuracy, "found": found, "steps": history.step, "spent": spent}


def judge(out: Path, table: Path | None) -> None:
    rows = {row["key"]: row for row in map(json.loads, (out / "index.jsonl").read_text().splitlines())}
    seen = {key: judged(out / row["run"]) for key, row in rows.items() if "run" in row}
    bases = {key.removeprefix("baseline "): found["accuracy"] for key, found in seen.items() if key.startswith("baseline")}
    false, harmed, notes = [], [], 0
    for key, found in seen.items():
        base = bases.get(" ".join(rows[key].get("home") or ()), 0.0)
        name = key.split()[1] if " " in key.strip() else key
        well = name not in LESSONS and (key.startswith("preset") or found["accuracy"] >= max(WELL * base, LEARNED))
        loud = [event for event in found["found"] if event.severity != "info"]
        notes += len(found["found"]) - len(loud)
        for event in loud:
            when = f"{event.step}/{found['steps']}"
            cells = (key, f"{found['accuracy']:.3f}", f"{event.severity} {event.id}", when, event.headline)
            (false if well else harmed).append(f"| {' | '.join(cells)} |")
    head = ["| run | val accuracy | finding | step | |", "|---|---|---|---|---|"]
    alarmed = len({line.split("|")[1] for line in false})
    lines = [
        "# Healthy runs: what the flags say of them",
        "",
        "Written by `python benchmarks/healthy.py judge`; the runs by `... record`.",
        "",
        f"{len(seen)} whole runs: {sum(key.startswith('preset') for key in seen)} presets, the rest one trick each. "
        f"False alarms at warning or above: **{alarmed}** runs. Notes at info: {notes}.",
        *(["", "## False alarms", "", *head, *false] if false else []),
        *(["", "## Runs that their trick did harm", "", *head, *harmed] if harmed else []),
        *(["", "## Could not run here", "", *(f"* {k}: {row['error']}" for k, row in rows.items() if "error" in row)]),
        "",
        "## Presets as run here",
        "",
        *(f"* {name}: {'as it ships' if not edits else ', '.join(f'`{e}`' for e in edits)}" for name, edits in PRESETS.items()),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if table:
        table.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("do", choices=("record", "judge"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="runs whose key holds this text")
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    if given.do == "record":
        record(given.out, given.jobs, given.only)
    else:
        judge(given.out, given.table)


if __name__ == "__main__":
    main()
