"""What rules about data and weights share: how to bring inputs to one scale, and weights to one that suits them."""

import math

from cockpit.flags._shared import base_lr, choose, has, setting
from cockpit.runs.events import Remedy
from cockpit.runs.facts import Inputs
from cockpit.runs.history import History

BOUNDED = ("sigmoid", "tanh", "arctan", "softsign", "hardtanh", "hardsigmoid")
"""Activations between two limits."""
SCALED = ("he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "orthogonal", "torch_default")
"""Starts whose size follows the width of the layer, by their names in the catalogue."""
SGD = ("sgd", "momentum", "nesterov")
"""Optimizers whose rate from HIGH on may be too much for inputs that were never at their scale, and is usual below LOW."""
HIGH, LOW, LOW_ADAPTIVE = 0.1, 0.01, 0.001


def standardise(history: History) -> tuple[Remedy, ...]:
    """Inputs of mean 0 and deviation 1 as remedies, by a recipe's own knob: alone, and with weights and rate that suit them."""
    label = "subtract the mean of the training images and divide by their standard deviation, per channel"
    if setting(history, "data.standardise") != "none":
        return (Remedy(label=label, since="start"),)
    first = Remedy(label=label, edits=(("data.standardise", "train"),), since="start")
    start, lr = setting(history, "model.init"), base_lr(history)
    more: tuple[tuple[str, str], ...] = ()
    if start is not None and start not in SCALED:
        more += (("model.init", start_for(history)),)
    if lr >= HIGH and history.started and history.started.optimizer in SGD:
        more += (("optimizer.lr", f"{min(lr / 10, HIGH):.3g}"),)
    words = ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in more)
    return (first, Remedy(label=f"the same, with {words}", edits=first.edits + more, since="start")) if more else (first,)


def usual_start(history: History) -> tuple[Remedy, ...]:
    """Weights of a size that suits the network as remedies: alone, and with a rate that need not spare wide ones."""
    init, lr = start_for(history), base_lr(history)
    first = choose(history, f"start from {init} weights", init=init)
    low = LOW if history.started and history.started.optimizer in SGD else LOW_ADAPTIVE
    if not first or not 0 < lr < low / 2 or has(history, "no_lr"):
        return first
    faster = (("optimizer.lr", f"{min(10 * lr, low):.3g}"),)
    return (*first, Remedy(label=f"the same, with lr {faster[0][1]}", edits=first[0].edits + faster, since="start"))


def start_for(history: History) -> str:
    """The start that keeps the size of a signal through the activations of the network."""
    return "glorot_uniform" if setting(history, "model.activation") in BOUNDED else "he_normal"


def reach(inputs: Inputs) -> float:
    """The largest absolute value; NaN where nothing is known."""
    return math.nan if math.isnan(inputs.low) else max(abs(inputs.low), abs(inputs.high))
