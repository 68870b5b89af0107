"""Every trick in one process and in several: how far the weights end apart, and how far the processes are from each other.

    python benchmarks/distributed.py [--processes 2] [--set PATH=VALUE]... [NAME ...]

Two epochs of seven steps on 8x8 digits, the last batch smaller than the others; gloo, on the CPU. Rounding alone leaves about
1e-6. Above that are draws that each process makes for itself (dropout, attacks, masks), pairs inside a slice, and methods that
magnify rounding. The processes may not be apart from each other at all.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from crew_kit import train_together
from test_catalogue import CHOICE, CNN, TOGGLES, choose

from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import RecipeError, loads
from cockpit.runs.history import read_history

EDITS = ("train.epochs=2", "train.batch_size=33", "train.drop_last=off")


def recipe_of(edits):
    try:
        return loads(CNN, edits=[*edits, *EDITS])
    except RecipeError:  # a network that takes only whole batches
        return loads(CNN, edits=[*edits, *EDITS[:2]])


def alone(recipe, root):
    run = new_run(recipe, root, "alone", allow_code=False, command=[])
    Flight(run, say=lambda text: None).fly()
    return run


def apart(one, other):
    """The farthest of the weights and running statistics."""
    return max(float((one[name] - other[name]).abs().max()) for name in one if one[name].is_floating_point())


def weights(run, which="last"):
    return torch.load(run.path / "checkpoints" / f"{which}.pt", weights_only=True)


def compare(card, earlier, root, said):
    recipe = recipe_of([*choose(card, earlier), *said.set])
    one, several = alone(recipe, root), new_run(recipe, root, "together", allow_code=False, command=[])
    began = time.perf_counter()
    try:
        train_together(several, said.processes)
    except AssertionError:
        ended = read_history(several).ended
        return f"refused: {ended.reason}" if ended else "no answer"
    ours = weights(several)["model"]
    others = max(apart(ours, weights(several, f"rank{rank}")) for rank in range(1, said.processes))
    losses = [read_history(run).steps["loss"] for run in (one, several)]
    figures = (apart(weights(one)["model"], ours), np.abs(losses[0] - losses[1]).max(), others)
    return " | ".join([*(f"{figure:.0e}" for figure in figures), f"{time.perf_counter() - began:.1f}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="path=value, for all")
    said = parser.parse_args()
    torch.set_num_threads(1)
    print("| trick | weights apart | loss apart | processes apart | seconds |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        earlier = str(alone(loads(CNN, edits=["train.epochs=1"]), Path(folder)).path)
        for card in (each.values[0] for each in (*TOGGLES, *CHOICE)):
            if not said.names or card.name in said.names:
                print(f"| {card.family}.{card.name} | {compare(card, earlier, Path(folder), said)} |", flush=True)


if __name__ == "__main__":
    main()
