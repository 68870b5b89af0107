"""Inputs that are far too large, far too small, or not of the scale that the network was trained on."""

import math
from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Severity, Sign
from cockpit.flags._data import reach, standardise
from cockpit.runs.facts import Inputs
from cockpit.runs.history import History

UNEVEN = 100.0
"""Channels whose deviations are so many times apart are told of."""
TAIL = 30.0
"""Values so many deviations from the mean are outliers: they alone can move a deviation."""


@card(
    "input_scale",
    when="Before the first step: pixels of 0 to 255, tables as they come, images that were divided by 255 twice.",
    beware="Outliers of standardised columns, rare binary columns and pixels in [0, 1] are in order; integers may be words.",
    source="LeCun et al. 1998, Efficient BackProp; Schoop et al. 2021, UMLAUT (CHI); limits calibrated on our cases",
)
class InputScale(Flag):
    """What enters the network is out of the range in which weights start well, or validation comes in another scale."""

    moment: ClassVar[Moment] = "start"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 3

    largest_std: float = knob(10.0, above=0, high=1e9, help="largest standard deviation of all values that is in order")
    smallest_std: float = knob(0.01, above=0, high=1, help="the smallest, where no value is above ten times as much")
    largest: float = knob(50.0, above=0, high=1e9, help="largest absolute value that is in order, outliers aside")
    apart: float = knob(3.0, above=1, high=1e6, help="factor between the deviations of training and validation inputs")
    shift: float = knob(1.0, above=0, high=1e6, help="training deviations between the two means")
    samples: int = knob(16, low=1, high=1_000_000, help="inputs that must have been looked at")

    def look(self, history: History) -> Sign | None:
        """Looks at the clean probe, then compares it with validation inputs."""
        seen = history.measured
        inputs = seen.inputs if seen else None
        if seen is None or inputs is None or inputs.samples < self.samples:
            return None
        said = self._fault(inputs, history)
        if said:
            severity, headline, why = said
            return Sign(severity, headline, why, _numbers(inputs), standardise(history), conclusive=True)
        val = seen.val_inputs
        if val and val.samples >= self.samples and (headline := self._other_scale(inputs, val)):
            why = "The network is judged on inputs it was never shown the like of."
            return Sign("warning", headline, why, _numbers(inputs) | _numbers(val, "val "), conclusive=True)
        if inputs.constant:
            headline = f"{inputs.constant} of the input channels never change{_share(inputs)}"
            why = "They tell the network nothing, and standardising them divides by zero."
            return Sign("info", headline, why, _numbers(inputs) | {"constant channels": float(inputs.constant)})
        return None

    def _fault(self, inputs: Inputs, history: History) -> tuple[Severity, str, str] | None:
        if not inputs.finite:
            lost = history.measured is not None and not math.isfinite(history.measured.loss)
            return (
                "critical" if lost else "warning",
                "inputs hold NaN or infinite values",
                "One of them makes all weights NaN.",
            )
        size = reach(inputs)
        large = inputs.std > self.largest_std * (1 + 1e-6) or (size > self.largest * (1 + 1e-6) and not _outliers(inputs))
        if large:
            span = f"inputs from {inputs.low:.4g} to {inputs.high:.4g}, deviation {inputs.std:.3g}"
            if not inputs.floating:
                embedded = history.started and any(layer.kind == "Embedding" for layer in history.started.layers)
                why = "Unless the network scales them itself, its first layer is flooded."
                return None if embedded else ("info", f"whole-number {span}", why)
            if history.started and history.started.early_norm:
                return "info", span, "The first layer is normalised: its updates are small, and all else is as usual."
            return "warning", span + _share(inputs), "Weights are made for inputs near 1: larger ones flood the first layer."
        if inputs.std < self.smallest_std * (1 - 1e-6) and size < 10 * self.smallest_std and inputs.floating:
            why = "All inputs look alike to the first layer: signal and gradient are as small as they are."
            return "warning", f"inputs no larger than {size:.2g}, deviation {inputs.std:.2g}", why
        return None

    def _other_scale(self, train: Inputs, val: Inputs) -> str:
        """What sets validation inputs apart, if anything does. Outliers on either side prove nothing."""
        if not (train.std > 0 and val.std > 0) or max(_tail(train), _tail(val)) > TAIL:
            return ""
        shift, ratio = abs(val.mean - train.mean) / train.std, val.std / train.std
        if max(ratio, 1 / ratio) > self.apart * (1 + 1e-6):
            return f"validation inputs have deviation {val.std:.3g}, training inputs {train.std:.3g}"
        if shift > self.shift * (1 + 1e-6):
            return (
                f"validation inputs have mean {val.mean:.3g}, training inputs {train.mean:.3g} with deviation {train.std:.3g}"
            )
        return ""


def _outliers(inputs: Inputs) -> bool:
    """Whether large values are few: the rest is standardised, channel by channel."""
    largest = inputs.channel_stds[1]
    return (inputs.std if math.isnan(largest) else largest) <= 3 and abs(inputs.mean) <= 1


def _tail(inputs: Inputs) -> float:
    return max(inputs.high - inputs.mean, inputs.mean - inputs.low) / inputs.std


def _share(inputs: Inputs) -> str:
    low, high = inputs.channel_stds
    return f"; channel deviations from {low:.2g} to {high:.3g}" if 0 < low * UNEVEN < high else ""


def _numbers(inputs: Inputs, of: str = "") -> dict[str, float]:
    low, high = inputs.channel_stds
    said = {"low": inputs.low, "high": inputs.high, "mean": inputs.mean, "std": inputs.std}
    said |= {"smallest channel std": low, "largest channel std": high} if 0 < low * UNEVEN < high else {}
    return {of + name: value for name, value in said.items()}
