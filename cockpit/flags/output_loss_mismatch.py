"""A loss that is given what it does not take: a softmax twice, cut-off logits, logits for log-probabilities."""

import math
from typing import ClassVar, NamedTuple

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Severity, Sign
from cockpit.flags._shared import last_evaluation, learned, progressing, settled
from cockpit.runs.events import Remedy
from cockpit.runs.facts import Outputs
from cockpit.runs.history import History

RAW = "return raw logits: the loss applies the softmax or the sigmoid itself"
CLASSES_LAST = "apply the softmax over the classes (dim=1), not over the batch"
ONE_UNIT = "use a sigmoid on one unit, or two units with cross-entropy: a softmax over one unit is always 1"
LOG = "give the loss log_softmax(logits), or take cross-entropy, which applies it itself"
SHARES = "give the loss sigmoid(logits) or softmax(logits), or take its form with logits"
TARGETS = "check targets and loss: a target outside 0..1, or logits where log-probabilities belong, make it fall without end"
SURE = "take cross-entropy on raw logits: a squared or absolute error on probabilities has almost no slope where they are wrong"


class Fault(NamedTuple):
    """What is wrong with the outputs, and what mends it."""

    severity: Severity
    headline: str
    why: str
    remedy: str


@card(
    "output_loss_mismatch",
    when="The loss stops far above 0, falls below it, or the network learns slower than it should.",
    beware="One sigmoid unit for two classes, log-probabilities under cross-entropy and heads that start at 0 are in order.",
    source="Zhang et al. 2021, AutoTrainer (ICSE); Schoop et al. 2021, UMLAUT (CHI); PyTorch, CrossEntropyLoss and NLLLoss",
)
class OutputLossMismatch(Flag):
    """The outputs behave as no outputs do that this loss takes; names of layers prove nothing.

    What one look proves counts at once: rows that sum to 1, a cut at exactly 0, a loss below 0. Outputs that merely never
    are negative must be so at every look.
    """

    moment: ClassVar[Moment] = "rows"
    at_start: ClassVar[bool] = True
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 8

    error: float = knob(1e-3, above=0, below=0.1, help="largest distance of a sum from 1, or of a value from its range")
    samples: int = knob(512, low=16, high=1_000_000, help="inputs over which a cut at 0 is proof")
    looks: int = knob(3, low=2, high=100, help="looks in a row without a negative output, where none is exactly 0")

    def look(self, history: History) -> Sign | None:
        """Looks at the outputs of the fresh network and of every evaluation, and at the last losses."""
        started = history.started
        seen = _outputs(history)
        if started is None:
            return None
        fault = _below_zero(history) or (self._fault(seen, history) if seen else None)
        if fault is None:
            return None
        outputs = seen[-1] if seen else None
        said = {"low": outputs.low, "high": outputs.high, "sum of a row off 1 by": outputs.row_sum_error} if outputs else {}
        remedies = (Remedy(label=fault.remedy, since="start"),)
        return Sign(fault.severity, fault.headline, fault.why, said, remedies, conclusive=fault.severity != "info")

    def _fault(self, seen: list[Outputs], history: History) -> Fault | None:
        now, takes = seen[-1], history.started.criterion if history.started else ""
        if not now.high > now.low and now.width > 1 and now.low == 0:
            return None  # a head that starts at 0 says nothing yet
        if now.width == 1 and now.low == now.high == 1 and takes != "values":
            why = "It says 1 whatever the image, and no gradient passes it."
            return Fault("critical", "the only output is 1 for every image: a softmax over one unit", why, ONE_UNIT)
        if takes == "logits":
            return self._shares_as_logits(now) or self._cut_logits(seen, history)
        if takes == "log_probabilities" and now.high > self.error:
            why = "The loss takes the log of shares; without the softmax it falls below 0 and never ends."
            return Fault("warning", f"outputs up to {now.high:.3g} where log-probabilities belong", why, LOG)
        if takes == "probabilities" and (now.low < -self.error or now.high > 1 + self.error):
            why = "The loss takes the log of the outputs: outside 0 to 1 it is wrong or no number."
            return Fault("warning", f"outputs from {now.low:.3g} to {now.high:.3g} where shares belong", why, SHARES)
        return self._shares_as_values(now, history) if takes == "values" else None

    def _shares_as_logits(self, now: Outputs) -> Fault | None:
        if now.low < 0 or now.width < 2:
            return None
        if now.row_sum_error < self.error:
            least = math.log(math.e + now.width - 1) - 1
            why = f"The loss applies a softmax of its own; of two, the loss stays above {least:.3f} and learns slowly."
            return Fault("warning", "the outputs of each image sum to 1: a softmax before a loss that has its own", why, RAW)
        # Looks are made in up to a few batches, each of which sums to 1.
        whole = round(now.column_sum_error)
        large = now.high >= (whole + 1) / now.samples * (1 - self.error)
        if large and abs(now.column_sum_error - whole) < self.error and whole < now.samples / 64 and now.high <= 1 + self.error:
            why = "Each image's answer depends on its neighbours in the batch, and a large batch makes all answers small."
            return Fault("warning", "the outputs of each class sum to 1 over the batch", why, CLASSES_LAST)
        return None

    def _cut_logits(self, seen: list[Outputs], history: History) -> Fault | None:
        """Exact zeros at the low end are a ReLU's. Without them all looks must agree: few outputs may be so by chance."""
        now, values = seen[-1], seen[-1].samples * seen[-1].width
        why = "An image can then be told what it is, but never what it is not: the loss stops far above its least."
        if now.low == 0 < now.high and values >= self.samples and history.evaluations:
            return Fault("warning", "no output is negative, the least are exactly 0: a ReLU on the logits", why, RAW)
        looks = seen[-self.looks :]
        if len(looks) < self.looks or any(one.low < 0 for one in looks) or sum(one.samples for one in looks) < self.samples / 2:
            return None
        if all(one.high <= 1 and one.high - one.low > 0.5 for one in looks):
            return Fault("warning", f"all outputs lie from {now.low:.2g} to {now.high:.3g}: a sigmoid on the logits", why, RAW)
        if now.width > 2 and all(one.low < 0.05 * one.high for one in looks):
            return Fault("warning", f"no output is negative: they lie from {now.low:.2g} to {now.high:.3g}", why, RAW)
        return None

    def _shares_as_values(self, now: Outputs, history: History) -> Fault | None:
        """Legal, and slow at worst: worth a warning only where it stops the network from learning."""
        seen = last_evaluation(history)
        shares = now.low >= 0 and now.high <= 1 and (now.width == 1 or now.row_sum_error < self.error)
        if seen is None or not seen.recalls or not shares:
            return None
        stuck = settled(history) and len(history.evaluations) > 1 and not progressing(history) and not learned(history)
        why = "Where a probability is wrong and sure, such a loss has almost no slope."
        severity: Severity = "warning" if stuck else "info"
        return Fault(severity, "classes are learned by a squared or absolute error on probabilities", why, SURE)


def _outputs(history: History) -> list[Outputs]:
    """What the network answered at each look, the last few."""
    first = history.measured.outputs if history.measured else None
    every = [first, *(seen.outputs for seen in history.evaluations[-16:])]
    return [outputs for outputs in every if outputs and math.isfinite(outputs.low)]


def _below_zero(history: History) -> Fault | None:
    """A loss that cannot be negative and is, on average over the last steps."""
    started = history.started
    losses = history.steps["loss"][-20:].astype(np.float64)
    known = started is not None and started.criterion in ("logits", "probabilities", "log_probabilities")
    if not known or not len(losses) or not float(losses.mean()) < -1e-3:
        return None
    why = "It has no least value: the network earns more by being louder, not by being right."
    return Fault("critical", f"the loss is {losses.mean():.3g}, and this loss cannot be below 0", why, TARGETS)
