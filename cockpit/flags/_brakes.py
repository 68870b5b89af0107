"""What holds a network back on purpose, as its recipe says it: weight decay and dropout."""

import math
import re
from typing import NamedTuple

from cockpit.flags._shared import setting, trick_on
from cockpit.runs.history import History

COUPLED = ("sgd", "adam", "adamax", "rmsprop", "adagrad", "adadelta", "asgd", "rprop", "nadam", "radam", "lbfgs", "lars")
"""Optimizers whose decay is part of the gradient."""
DROPPING = ("dropout", "dropout_2d", "alpha_dropout", "drop_block")
WORD = re.compile(r"do(\d*\.?\d+)")
"""Dropout in a network that is written as a line."""


class Decay(NamedTuple):
    """How strongly the weights are pulled to 0."""

    lam: float
    """0: not at all; NaN: not known."""
    coupled: bool
    """It is added to the gradient."""
    path: str
    """Where the recipe says it."""


def decay_of(history: History) -> Decay:
    """The pull on the weights: the optimizer's, or that of decay_by_hand in its place."""
    if trick_on(history, "decay_by_hand"):
        form = setting(history, "tricks.decay_by_hand.form")
        return Decay(number(history, "tricks.decay_by_hand.lam"), form == "loss", "tricks.decay_by_hand.lam")
    name = history.started.optimizer.lower() if history.started else ""
    apart = setting(history, "optimizer.decoupled_weight_decay")
    said = number(history, "optimizer.weight_decay")
    recorded = history.started.weight_decay if history.started else math.nan
    return Decay(recorded if math.isnan(said) else said, name in COUPLED and apart is not True, "optimizer.weight_decay")


class Drop(NamedTuple):
    """The largest share that dropout sets to 0, and the edits that switch all dropout off."""

    share: float
    edits: tuple[tuple[str, str], ...]


def dropout_of(history: History) -> Drop:
    """Dropout by tricks, by a knob of the network, and in the words of a written one; share 0 where there is none."""
    shares, edits = [0.0], []
    for name in DROPPING:
        share = number(history, f"tricks.{name}.p")
        if trick_on(history, name) and share > 0:
            shares.append(share)
            edits.append((f"tricks.{name}", "off"))
    share = number(history, "model.dropout")
    if share > 0:
        shares.append(share)
        edits.append(("model.dropout", "0"))
    line = setting(history, "model.layers")
    if isinstance(line, str) and WORD.search(line):
        shares += [float(found) for found in WORD.findall(line)]
        edits.append(("model.layers", " ".join(word for word in line.split() if not WORD.fullmatch(word))))
    return Drop(max(shares), tuple(edits))


def number(history: History, path: str) -> float:
    """What the recipe says there, as a number; NaN where it says none."""
    try:
        return float(setting(history, path))
    except (TypeError, ValueError):
        return math.nan
