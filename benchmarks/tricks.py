"""What each trick does on one small task: `python benchmarks/tricks.py`, then the table is docs/learned.md.

A small network on 200 digits, five seeds, each trick against the baseline seed by seed (same images, same
initial weights, same order), the mean difference in validation accuracy with its 95 % interval. Tricks that need another
network or other images are compared with a baseline of their own. Then the lecture's warnings, reproduced.

Runs that are done are kept in a file beside the results, so that a broken measurement goes on where it was.
"""

import argparse
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

BASE = """
data: {source: digits, val: 0.5, limit: 200}
model: {name: small_cnn, widths: [16, 32]}
optimizer: {name: nesterov, lr: 0.2, momentum: 0.9, weight_decay: 5.0e-4}
schedule: {name: cosine, warmup_epochs: 1}
train: {epochs: 30, batch_size: 32, device: cpu, precision: fp32}
"""
SEEDS = 5
RESNET = ("model={name: resnet, depth: 20, width: 0.5}",)
VIT = ("model={name: vit, patch: 2, dim: 48, depth: 2, heads: 3}", "optimizer={name: adamw, lr: 2.0e-3}")
COLOUR = ("data={source: synthetic, size: 8, channels: 3, train: 700, test: 20, noise: 1.0, val: 500}",)
HOMES: dict[str, tuple[str, ...]] = {
    "zero_last_gamma": RESNET,
    "stochastic_depth": RESNET,
    "patch_dropout": VIT,
    "pca_lighting": COLOUR,
    "layer_decay": RESNET,
}
"""The baseline of tricks that the small network or grey images cannot show."""
LEFT_OUT = {
    "distillation": "needs a finished run",
    "fine_tune": "needs a finished run",
    "masked_autoencoder": "a pretraining, not a training",
    "masked_token": "a pretraining, not a training",
    "linear_probe": "for pretrained networks",
    "freeze": "for pretrained networks",
    "random_labels": "a demonstration",
    "early_stopping": "ends runs early",
}
SETTINGS: dict[str, tuple[str, ...]] = {
    "grad_accumulation": ("tricks.grad_accumulation.steps=2",),
    "batch_growth": ("tricks.batch_growth.every=10",),
    "random_flip": ("data.mirror=true", "tricks.random_flip=on"),
    "random_crop": ("tricks.random_crop={pad: 1, mode: zeros}",),
    "random_resized_crop": ("tricks.random_resized_crop.scale_min=0.6",),
    "cutout": ("tricks.cutout.size=3",),
    "lr_scaling": ("tricks.lr_scaling={rule: linear, base_batch: 16}",),
    "bias_lr_scale": ("tricks.bias_lr_scale.scale=8",),
    "fgsm": ("tricks.fgsm.epsilon=0.05",),
    "fgsm_rs": ("tricks.fgsm_rs.epsilon=0.05",),
    "pgd": ("tricks.pgd={epsilon: 0.05, steps: 3}",),
    "weight_ema": ("tricks.weight_ema.decay=0.98",),
    "tta": ("tricks.tta.views=shift",),
    "test_resolution": ("tricks.test_resolution.size=10",),
    "mimo": ("tricks.mimo.batch_repeat=2",),
}
RATES = {
    "adagrad": 0.1,
    "rmsprop": 0.01,
    "adam": 0.01,
    "adamw": 0.03,
    "nadam": 0.03,
    "radam": 0.1,
    "lion": 0.003,
    "sgd": 1.0,
    "momentum": 0.2,
    "lars": 10,
    "lamb": 0.02,
    "muon": 0.05,
    "schedule_free": 0.03,
}
"""The best of three or four learning rates on two other seeds; the baseline's was chosen in the same way."""
FAMILIES = ("loss", "activation", "init", "norm", "optimizer", "schedule")
SKIPPED = {
    "optimizer": {"gd", "lbfgs", "timm", "torch", "nesterov"},
    "norm": {"rms", "sync_batch", "split_batch", "batch"},
    "loss": {"cross_entropy"},
    "activation": {"relu"},
    "init": {"he_normal"},
    "schedule": {"cosine"},
}
"""Full-batch methods, pass-throughs, what needs another network, and the baseline's own members."""


@dataclass(frozen=True)
class Variant:
    """One row: a change of a baseline."""

    group: str
    name: str
    home: tuple[str, ...]
    edits: tuple[str, ...]


def variants() -> Iterator[Variant]:
    from cockpit.catalog import catalog

    for card in catalog():
        if card.kind == "toggle" and card.name not in LEFT_OUT:
            edits = SETTINGS.get(card.name, (f"tricks.{card.name}=on",))
            yield Variant(card.family, card.name, HOMES.get(card.name, ()), edits)
        elif card.kind == "choice" and card.family in FAMILIES and card.name not in SKIPPED[card.family]:
            yield Variant(card.family, card.name, (), member(card.family, card.name))


def member(family: str, name: str) -> tuple[str, ...]:
    """The edits that take a member of a choice."""
    path = family if family in ("loss", "optimizer", "schedule") else f"model.{family}"
    if family == "optimizer":
        rate = f", lr: {RATES[name]}" if name in RATES else ""
        still = ("schedule={name: constant, warmup_epochs: 0}",) if name in ("adasecant", "vsgd", "schedule_free") else ()
        return (*still, f"optimizer={{name: {name}{rate}}}")
    if name == "ghost_batch":
        return ("model.norm={name: ghost_batch, ghost: 8}",)
    return (f"{path}={name}",)


DEEP = "model={{name: mlp, widths: [{widths}], norm: none, activation: {act}, init: {init}}}"
MANY = ("data.limit=700", "train.batch_size=16", "train.epochs=10")
RATE = ("optimizer.lr=0.01", "optimizer.weight_decay=0", "data.limit=700", "train.epochs=20")


def deep(layers: int, act: str, init: str) -> tuple[str, ...]:
    return (DEEP.format(widths=", ".join(["128"] * layers), act=act, init=init), *RATE)


WARNINGS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("zero weights, against He's", (), ("model.init=zeros",)),
    ("std 0.01 in 10 layers, against He's", deep(10, "relu", "he_normal"), deep(10, "relu", "normal_001")),
    ("variance 1/n in 20 ReLU layers, against 2/n", deep(20, "relu", "he_normal"), deep(20, "relu", "lecun_normal")),
    ("sigmoid in 6 layers, against ReLU", deep(6, "relu", "he_normal"), deep(6, "sigmoid", "glorot_normal")),
    ("batch 256 at the rate of batch 16", MANY, (*MANY, "train.batch_size=256")),
    ("batch 256 at 4 times the rate", MANY, (*MANY, "train.batch_size=256", "tricks.lr_scaling={rule: sqrt, base_batch: 16}")),
    ("batch 256 at 16 times the rate", MANY, (*MANY, "train.batch_size=256", "tricks.lr_scaling.base_batch=16")),
)


def train(edits: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Validation accuracy of one run, as it would be scored at its end."""
    import torch

    from cockpit.engine.assemble import assemble
    from cockpit.engine.loop import take_step
    from cockpit.engine.recorder import Recorder
    from cockpit.engine.scoring import score
    from cockpit.recipe import loads
    from cockpit.travel import Verdict

    torch.set_num_threads(1)
    job, _ = assemble(loads(BASE, edits=[*edits, f"seed={seed}"]), _places())
    recorder = Recorder(lambda steps, layers: None)
    job.model.train()
    while job.step < job.total_steps:
        for places in job.rest_of_epoch():
            take_step(job, places, recorder)
        if job.wiring.uses("verdict"):
            seen = score(job.model, job.val, job.val_places(), job.plain_criterion, job.precision)
            job.evaluations += 1
            job.wiring.through("verdict", Verdict(False, seen.loss, job.evaluations))
    with job.settled():
        scored = job.wiring.through("evaluate", job.model)
        seen = score(scored, job.val, job.val_places(), job.plain_criterion, job.precision)
    return {"accuracy": seen.accuracy}


def _places() -> Any:
    from functools import cache

    from cockpit.datasets.base import Places
    from cockpit.datasets.places import data_root
    from cockpit.engine import assemble as module

    if not hasattr(module.load, "cache_info"):
        module.load = cache(module.load)  # the images are read once a process
    return Places(root=data_root())


def soups(seed: int) -> dict[str, float]:
    """Two runs from one root and two from different ones, averaged: accuracy of the members and of the soup."""
    import torch

    from cockpit.engine.across.soup import average
    from cockpit.engine.assemble import assemble
    from cockpit.engine.loop import take_step
    from cockpit.engine.recorder import Recorder
    from cockpit.engine.scoring import score
    from cockpit.nets.statistics import refresh_batch_norm
    from cockpit.recipe import loads

    torch.set_num_threads(1)

    def fly(start: Any, own: int, epochs: int) -> Any:
        job, _ = assemble(loads(BASE, edits=[f"seed={own}", f"train.epochs={epochs}"]), _places())
        if start is not None:
            job.model.load_state_dict(start.model.state_dict())
        recorder = Recorder(lambda steps, layers: None)
        job.model.train()
        while job.step < job.total_steps:
            for places in job.rest_of_epoch():
                take_step(job, places, recorder)
        return job

    def taste(one: Any, two: Any) -> float:
        refined = fly(None, 0, 1)
        refined.model.load_state_dict(average([one.model.state_dict(), two.model.state_dict()]))
        refresh_batch_norm(refined.model, (one.train.clean(places).x for places in one.clean_places()))
        return score(refined.model, one.val, one.val_places(), one.plain_criterion, one.precision).accuracy

    root = fly(None, 10 * seed, 5)
    tuned = [fly(root, 10 * seed + 1 + each, 5) for each in range(2)]
    apart = [fly(None, 10 * seed + 3 + each, 10) for each in range(2)]
    members = [score(j.model, j.val, j.val_places(), j.plain_criterion, j.precision).accuracy for j in (*tuned, *apart)]
    return {
        "one root, members": sum(members[:2]) / 2,
        "one root, soup": taste(*tuned),
        "different roots, members": sum(members[2:]) / 2,
        "different roots, soup": taste(*apart),
    }


def measure(task: tuple[str, tuple[str, ...], int]) -> dict[str, Any]:
    """One run in a worker; what goes wrong is a result too."""
    kind, edits, seed = task
    key = json.dumps([kind, *edits, seed])
    try:
        found: dict[str, Any] = soups(seed) if kind == "soup" else train(edits, seed)
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"[:300]}
    return {"key": key, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=Path, default=Path("benchmarks/results/tricks.jsonl"))
    parser.add_argument("--table", type=Path, default=Path("docs/learned.md"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    rows = list(variants())
    wanted = [("run", home, seed) for home in sorted({row.home for row in rows}) for seed in range(SEEDS)]
    wanted += [("run", (*row.home, *row.edits), seed) for row in rows for seed in range(SEEDS)]
    wanted += [("run", edits, seed) for _, one, two in WARNINGS for edits in (one, two) for seed in range(SEEDS)]
    wanted += [("soup", (), seed) for seed in range(SEEDS)]
    kept = {}
    if given.kept.exists():
        kept = {row["key"]: row for row in map(json.loads, given.kept.read_text().splitlines())}
    todo = [task for task in dict.fromkeys(wanted) if json.dumps([task[0], *task[1], task[2]]) not in kept]
    print(f"{len(todo)} of {len(set(wanted))} runs to do, {given.workers} at a time", flush=True)
    began = time.time()
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool, open(given.kept, "a") as file:
        for number, row in enumerate(pool.imap_unordered(measure, todo), 1):
            kept[row["key"]] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"{number}/{len(todo)} {time.time() - began:.0f} s  {row}", flush=True)
    given.table.write_text(page(rows, kept), encoding="utf-8")


def page(rows: list[Variant], kept: dict[str, dict[str, Any]]) -> str:
    """docs/learned.md."""
    lines = [
        "<!-- Written by benchmarks/tricks.py from measured runs; run it again rather than edit this page. -->",
        "",
        "# What each trick did on one small task",
        "",
        f"A small CNN on 200 of the bundled digits, 30 epochs, {SEEDS} seeds. Each row is the mean change in validation",
        "accuracy (719 images) against the baseline of the same seed, with a 95 % interval. **Bold** rows are those whose",
        "interval leaves out zero. A long schedule, a larger network or other images can turn any row around:",
        "most of these tricks were made for long runs of large networks.",
        "",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, no GPU. Command: `python benchmarks/tricks.py`.",
        "",
    ]
    base = [found["accuracy"] for found in results((), kept)]
    lines += [f"Baseline: {sum(base) / len(base):.2%}.", ""]
    family = ""
    for row in rows:
        if row.group != family:
            family = row.group
            lines += ["", f"## {family}", "", "| trick | change | |", "|---|---|---|"]
        lines.append(line(row, kept))
    lines += [
        "",
        "## Left out",
        "",
        *(f"* {name}: {why}" for name, why in LEFT_OUT.items()),
        "",
        *warnings(kept),
        *soup_lines(kept),
    ]
    return "\n".join(lines) + "\n"


def results(edits: tuple[str, ...], kept: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [kept[json.dumps(["run", *edits, seed])] for seed in range(SEEDS)]


def line(row: Variant, kept: dict[str, dict[str, Any]]) -> str:
    from cockpit.runs.paired import paired

    one, two = results(row.home, kept), results((*row.home, *row.edits), kept)
    bad = next((found["error"] for found in two if "error" in found), "")
    if bad:
        return f"| {row.name} | does not run here | {bad.replace('|', '/')} |"
    change = paired([found["accuracy"] for found in one], [found["accuracy"] for found in two])
    words = f"{change.mean:+.2%} ± {change.half:.2%}"
    settings = "; ".join((*row.home, *(edit for edit in row.edits if edit != f"tricks.{row.name}=on")))
    shown = f"**{words}**" if change.tells else words
    return f"| {row.name} | {shown} | {settings and f'`{settings}`'} |"


def warnings(kept: dict[str, dict[str, Any]]) -> list[str]:
    from cockpit.runs.paired import mean_of, paired

    lines = ["## The lecture's warnings", "", "| warning | as warned | as advised | difference |", "|---|---|---|---|"]
    for name, one, two in WARNINGS:
        good, bad = ([found.get("accuracy", float("nan")) for found in results(each, kept)] for each in (one, two))
        change = paired(good, bad)
        lines.append(
            f"| {name} | {mean_of(bad).mean:.2%} | {mean_of(good).mean:.2%} | {change.mean:+.2%} ± {change.half:.2%} |"
        )
    return lines


def soup_lines(kept: dict[str, dict[str, Any]]) -> list[str]:
    from cockpit.runs.paired import mean_of

    found = [kept[json.dumps(["soup", seed])] for seed in range(SEEDS)]
    lines = ["", "| soup of two | mean accuracy |", "|---|---|"]
    return lines + [f"| {key} | {mean_of([row[key] for row in found]).mean:.2%} |" for key in found[0] if key != "key"]


if __name__ == "__main__":
    main()
