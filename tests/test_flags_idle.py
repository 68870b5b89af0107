"""When `wasted_compute` says that nothing gets better: of which scores, and since when."""

import dataclasses

import pytest
from flags_canned import history

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.runs.events import Flagged
from cockpit.runs.history import History


def plateau(kept: dict[int, bool], score: str = "accuracy") -> History:
    """20 epochs of a learned network: accuracy and loss are at their best at epoch 8, what was kept as best is given."""
    scores = [[1, 0.3], [8, 0.85], [9, 0.84], [20, 0.84]]
    losses = [[1, 2.0], [8, 0.5], [9, 0.6], [20, 0.6]]
    told = {"val_accuracy": scores, "val_loss": losses, "train_accuracy": 0.97}
    made = history({"name": "idle", "evaluations": told})
    made.evaluations = [dataclasses.replace(one, best=kept.get(one.epoch, False), score=score) for one in made.evaluations]
    return made


def risen(made: History) -> list[Flagged]:
    found = replay(made, [flags()["wasted_compute"].cls()])
    return [one for one in found if isinstance(one, Flagged)]


@pytest.mark.parametrize(
    ("score", "words"),
    [
        ("accuracy", "no better validation loss or accuracy since epoch 8"),
        ("balanced_accuracy", "no better validation loss or accuracy or balanced accuracy since epoch 8"),
    ],
)
def test_it_says_which_scores_are_no_better(score: str, words: str) -> None:
    (found,) = risen(plateau({1: True, 8: True}, score))
    assert found.headline == words
    assert (found.evidence["best val loss"], found.evidence["best val accuracy"]) == (0.5, 0.85)


def test_what_was_kept_as_best_since_counts_as_better() -> None:
    """The ranking score moved, or the accuracy was as good with a lower loss, at an epoch late enough."""
    assert risen(plateau({8: True, 14: True}, "balanced_accuracy")) == []
    assert "since epoch 9" in risen(plateau({8: True, 9: True}, "balanced_accuracy"))[0].headline
