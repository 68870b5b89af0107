"""Scores: what says how good a network is on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card
from cockpit.families import Score

if TYPE_CHECKING:
    from torch import Tensor


@card(
    "accuracy",
    when="Classes of about the same size.",
    beware="Compare it with the share of the largest class: on unbalanced data a constant answer scores high.",
    source="Bishop 2006, Pattern Recognition and Machine Learning, section 1.5",
)
class Accuracy(Score):
    """Share of the images whose most probable class is the right one."""

    def measure(self, probabilities: Tensor, labels: Tensor) -> float:
        """In [0, 1]."""
        return float((probabilities.argmax(1) == labels).double().mean())
