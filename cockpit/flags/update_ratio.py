"""Updates that are far too large or too small for the weights they change."""

from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._curves import done, learning, lr_curve, ratio, wanted_ratio
from cockpit.flags._shared import base_lr, change_lr, settled
from cockpit.runs.history import History


@card(
    "update_ratio",
    when="Nothing is learned: one number tells whether the rate is wrong for these weights, and by how much.",
    beware="A thousandth is a rule of thumb for the middle of a run. Decays end far below it, Muon and LARS work far above it.",
    source="Karpathy, CS231n notes (Stanford), on -3; Ben Braiek and Khomh 2023, TheDeepChecker (TOSEM), on -1",
)
class UpdateRatio(Flag):
    """The change of the weights in a step, relative to their size, is out of bounds while nothing is learned.

    The median over the layers, its logarithm averaged over ten measured steps. While the loss falls, large updates are a note.
    """

    moment: ClassVar[Moment] = "rows"
    causes: ClassVar[tuple[str, ...]] = (
        "non_finite",
        "dead_relu",
        "exploding_gradient",
        "frozen_parameters",
        "input_scale",
        "lr_too_high",
        "lr_too_low",
        "output_loss_mismatch",
        "saturated_activation",
        "symmetric_init",
        "vanishing_gradient",
        "wasted_compute",
    )

    high: float = knob(-1.0, low=-3, high=2, help="log10 of the ratio that is too high")
    low: float = knob(-5.0, low=-9, high=-3, help="log10 of the ratio that is too low")
    tail: float = knob(0.1, low=0, below=1, help="share of the largest rate so far, below which the run is left to end")

    def look(self, history: History) -> Sign | None:
        """Warning while nothing is learned. Updates below one in 10^9 are none at all, which is another illness."""
        seen = ratio(history)
        if not settled(history) or not self._in_use(history) or not (seen > self.high or -9 < seen < self.low):
            return None
        alive = learning(history) or done(history)
        if alive and seen < self.low:
            return None
        wanted = wanted_ratio(history)
        return Sign(
            severity="info" if alive else "warning",
            headline=f"a step changes the weights by 10^{seen:.1f} of their size; about 10^{wanted:.1f} is usual",
            why="Steps this large forget what was learned." if seen > self.high else "Steps this small lead nowhere.",
            evidence={"log10 update ratio": seen, "usual": wanted, "lr": base_lr(history)},
            remedies=change_lr(history, float(f"{10 ** max(-3, min(3, wanted - seen)):.1g}")),
        )

    def _in_use(self, history: History) -> bool:
        """The rate is neither zero nor in the tail of a decay."""
        rates = lr_curve(history)
        return len(rates) > 0 and rates[-1] > self.tail * rates.max() * (1 - 1e-6)
