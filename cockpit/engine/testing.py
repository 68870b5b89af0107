"""A look at the sealed test set: the one place that opens the vault."""

import time
from typing import Any

from cockpit.datasets.base import DataError, Places
from cockpit.datasets.places import data_root
from cockpit.engine import checkpoints
from cockpit.engine.assemble import AssemblyError, build_model, feed_of, task_of
from cockpit.engine.checkpoints import CheckpointError, fitting
from cockpit.engine.data.load import Split, load
from cockpit.engine.device import DeviceError, pick_device, pick_precision
from cockpit.engine.feed import in_order
from cockpit.engine.scoring import score
from cockpit.recipe import RecipeError, loads
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.runs.launch_facts import allows_code
from cockpit.runs.log import append_json
from cockpit.runs.summary import looks


class TestingError(Exception):
    """The test set cannot be scored; the text is one sentence."""

    __test__ = False


def look(run: RunDir) -> dict[str, Any]:
    """Score the best weights of a run on its test set. The look is in the ledger before anybody learns the score."""
    try:
        seen = _score(run)
    except (AssemblyError, DataError, DeviceError, CheckpointError, RecipeError) as error:
        raise TestingError(str(error)) from error
    try:
        append_json(run.ledger, seen)
    except OSError as error:
        raise TestingError(
            f"the look cannot be written to {run.ledger}, so the score stays sealed: {error.strerror}"
        ) from error
    return {**seen, "looks": looks(run)["looks"]}


def _score(run: RunDir) -> dict[str, Any]:
    recipe = loads(run.recipe.read_bytes(), "recipe.yaml")
    saved = checkpoints.load(run.checkpoint("best"))
    device = pick_device(recipe.train.device)
    loaded = load(recipe.data, Places(root=data_root()))
    task = task_of(loaded)
    model = build_model(recipe, task, allow_code=allows_code(run)).to(device)
    with fitting(run.checkpoint("best")):
        model.load_state_dict(saved["model"])
        step = int(saved["step"])
    images = loaded.vault.open_for_look()
    feed = feed_of(Split(images.pixels, images.labels), loaded, recipe, device)
    precision = pick_precision(recipe.train.precision, device)
    scores = score(model, feed, in_order(len(feed), 512, device), recipe.loss.build(task), precision)
    best = next((seen for seen in read_history(run).evaluations if seen.step == step), None)
    return {
        "t": time.time(),
        "step": step,
        "epoch": best.epoch if best else None,
        "weights": best.weights if best else "raw",
        "accuracy": scores.accuracy,
        "loss": scores.loss,
        "count": scores.images,
    }
