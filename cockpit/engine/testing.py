"""A look at the sealed test set: the one place that opens the vault."""

import time
from dataclasses import replace
from typing import Any

from cockpit.datasets.base import DataError
from cockpit.engine.assemble import feed_of
from cockpit.engine.checkpoints import CheckpointError
from cockpit.engine.data.sample import readable
from cockpit.engine.memory import TooLargeError
from cockpit.engine.reopen import ReopenError, reopen
from cockpit.engine.scoring import score
from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader, read_history
from cockpit.runs.kept import places
from cockpit.runs.log import append_json
from cockpit.runs.state import LIVE
from cockpit.runs.summary import looks


class TestingError(Exception):
    """The test set cannot be scored; the text is one sentence."""

    __test__ = False


def look(run: RunDir) -> dict[str, Any]:
    """Score the best weights of a run on its test set. The look is in the ledger before anybody learns the score."""
    try:
        seen = _score(run)
    except (ReopenError, DataError, TooLargeError) as error:
        way = _way_out(run) if isinstance(error.__cause__, CheckpointError) else ""
        raise TestingError(f"{error}{way}") from error
    try:
        append_json(run.ledger, seen)
    except OSError as error:
        raise TestingError(
            f"the look cannot be written to {run.ledger}, so the score stays sealed: {error.strerror}"
        ) from error
    return {**seen, "looks": looks(run)["looks"]}


def _way_out(run: RunDir) -> str:
    """How a run whose best weights cannot be read comes to others: no other checkpoint is tested."""
    said, reader = "; no other checkpoint is tested", RunReader(run)
    reader.poll()
    if reader.state in LIVE:
        return f"{said}, and the next evaluation that is better than all so far writes it anew"
    if reader.state != "finished":
        return f"{said}: `cockpit resume {run.id}` goes on, and its next evaluation writes it anew"
    others = " or ".join(which for which in places(run) if which != "best")
    on = f", or with --at {others} and --set train.epochs=N trains on from there" if others else ""
    return f"{said}: `cockpit fork {run.id}` trains from the first step again{on}"


def _score(run: RunDir) -> dict[str, Any]:
    found = reopen(run)
    job, loaded = found.job, found.loaded
    images = loaded.vault.open_for_look()
    if not len(images):
        raise DataError("this run has no test images: none were sealed")
    feed = feed_of(readable(images), loaded, job.recipe, job.device)
    feed = replace(feed, mean=job.train.mean, std=job.train.std)
    scores = score(found.scored, feed, feed.in_order(512), job.plain_criterion, job.precision)
    best = next((seen for seen in read_history(run).evaluations if seen.step == found.step), None)
    return {
        "t": time.time(),
        "step": found.step,
        "epoch": best.epoch if best else None,
        "weights": best.weights if best else "raw",
        "accuracy": scores.accuracy,
        "loss": scores.loss,
        "count": scores.images,
    }
