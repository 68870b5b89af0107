"""Several images in one network at once: an ensemble for the price of one forward pass."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Outcome, Parts, Task
from cockpit.tricks._sent import sent
from cockpit.tricks.losses.targets import NEEDS_INDICES
from cockpit.tricks.mixing._mix import ONE_MIX, area, beta, boxes, inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor, nn

    from cockpit.travel import Criterion, Forward, Objective

REFUSED = {
    "mixes": ONE_MIX,
    "adversarial": "a network that takes several images at once has no loss of one image to attack",
    "whitening_conv": "both rebuild the first layer",
    "dirac": "the first layers would all be the identity",
    "prior_bias": "the network has a head for each of its inputs",
    "layer_decay": "it does not know the order of the layers behind several first ones",
}
MINDED = {
    "batch": "the equal images of evaluation shift what batch norm saw in training; group norm does not mind",
    "tta": "every view goes to all inputs: an average over views of the average over heads",
    "freeze": "of the several first layers, stem means only the first",
}


class Multi:
    """The network with its stems and heads, and the batches that it eats."""

    def __init__(self, name: str, inputs: int, parts: Parts) -> None:
        from cockpit.nets.multi_input import try_out

        self._name, self._inputs, self._stream = name, inputs, parts.stream
        self._map = try_out(parts.model, inputs, parts.task, parts.stream(name))

    def model(self, model: nn.Module, task: Task) -> nn.Module:
        """The network with M stems and M heads."""
        from cockpit.nets.multi_input import MultiInput

        self._net = MultiInput(model, self._inputs, self._stream(self._name))
        return self._net

    def loss(self, criterion: Criterion, task: Task) -> Criterion:
        """The sum over the heads: M times the mean over all their answers."""
        return lambda logits, target: self._inputs * criterion(logits, target)


def stacked(batch: Batch, inputs: int, repeat: int, rho: float, stream: torch.Generator) -> Batch:
    """M shuffles of the batch, repeated, one behind the other: x (M n, C, H, W), n = B times repeat.

    A share rho of the n positions holds the same image in all of them.
    """
    import torch

    size = len(batch.x) * repeat
    main = torch.arange(len(batch.x)).repeat(repeat)[torch.randperm(size, generator=stream)]
    free = int(size * (1 - rho))
    shuffles = [torch.cat([main[:free][torch.randperm(free, generator=stream)], main[free:]]) for _ in range(inputs)]
    chosen = sent(torch.cat(shuffles), batch.x.device)
    return Batch(batch.x[chosen], batch.y[chosen], batch.ids[chosen])


class MimoPlug(Multi):
    """The plug of mimo."""

    def __init__(self, knobs: Mimo, parts: Parts) -> None:
        super().__init__("mimo", knobs.m, parts)
        self._knobs = knobs

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """(B, C, H, W) -> (M B repeats, C, H, W)."""
        return stacked(batch, self._inputs, self._knobs.batch_repeat, self._knobs.rho, at.stream("mimo"))


@card(
    "mimo",
    family="multi_input",
    seams=("model", "batch", "loss"),
    stage="mix",
    tags=("mixes",),
    conflicts=REFUSED,
    cautions=MINDED,
    when="A wide network with room to spare, and the score of an ensemble at the price of one.",
    beware="Needs width: the inputs share its capacity. Repeats multiply the cost of a step; the loss is a sum over heads.",
    source="Havasi et al. 2021, arXiv 2010.06610",
)
class Mimo(Toggle):
    """Train on several images at once, each with a first layer and a head of its own; test with one image in all.

    In evaluation the heads' probabilities are averaged, which is also what the training score of the clean probe shows.
    MixShare (Sun et al. 2022, arXiv 2205.10139) adds an unmixing step to it and is not offered.
    """

    m: int = knob(2, low=2, high=4, help="images at once")
    rho: float = knob(0.0, low=0, high=1, help="share of the steps' positions where all inputs are the same image")
    batch_repeat: int = knob(4, low=1, high=8, help="times that each image of a batch is used, beside others each time")

    def plug(self, parts: Parts) -> MimoPlug:
        """ValueError where the network has no stem or head that can be several."""
        return MimoPlug(self, parts)


class MixmoPlug(Multi):
    """The plug of mixmo; between the batch and the objective it keeps the mask and the two losses' weights."""

    def __init__(self, knobs: Mixmo, parts: Parts) -> None:
        from torch.utils.weak import WeakTensorKeyDictionary

        super().__init__("mixmo", 2, parts)
        if knobs.form == "cut" and len(self._map) != 2:
            raise ValueError("mixmo: the first layer of this network makes no map to cut from; take form: linear")
        self._knobs = knobs
        self._kept = WeakTensorKeyDictionary()
        self._shares: Tensor | None = None

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """(B, C, H, W) -> (2 B repeats, C, H, W); y -> float (2 B repeats, classes)."""
        from torch.nn import functional

        stream = at.stream("mixmo")
        pairs = stacked(batch, 2, self._knobs.batch_repeat, 0.0, stream)
        mask, share = self._drawn(len(pairs.x) // 2, at, stream)
        shares = weights(share, self._knobs.r).flatten().float()
        self._kept[pairs.ids] = (sent(mask, batch.x.device), sent(shares, batch.x.device))
        return pairs if pairs.y.is_floating_point() else pairs._replace(y=functional.one_hot(pairs.y, at.task.classes).float())

    def _drawn(self, size: int, at: Moment, stream: torch.Generator) -> tuple[Tensor, Tensor]:
        """The masks, float (n, 1, h, w) or the like, and the share (n,) of the first image that they leave."""
        import torch

        coins = torch.rand(2, generator=stream)
        share = beta(self._knobs.alpha, size, stream)
        if coins[0] >= self._knobs.cuts(at):
            return share.float().view(-1, 1, *(1 for _ in self._map)), share
        height, width = self._map
        bounds = boxes(share, torch.arange(size), height, width, stream)
        mask, share = inside(bounds, height, width, share.device).float(), area(bounds) / (height * width)
        return (mask, share) if coins[1] < 0.5 else (1 - mask, 1 - share)

    def loss(self, criterion: Criterion, task: Task) -> Criterion:
        """The sum over the two heads, in training each image by its weight."""
        import torch

        def weighted(logits: Tensor, target: Tensor) -> Tensor:
            if self._shares is None:
                return 2 * criterion(logits, target)
            each: Tensor = torch.func.vmap(lambda answer, wanted: criterion(answer[None], wanted[None]))(logits, target)
            return 2 * (self._shares * each).mean()

        return weighted

    def objective(self, inner: Objective, forward: Forward, criterion: Criterion) -> Objective:
        """The forward pass and the loss under the batch's mask and weights."""

        def mixed(batch: Batch, at: Moment) -> Outcome:
            with self._under(batch):
                return inner(batch, at)

        return mixed

    @contextmanager
    def _under(self, batch: Batch) -> Iterator[None]:
        self._net.stems.mask, self._shares = self._kept[batch.ids]
        try:
            yield
        finally:
            self._net.stems.mask = self._shares = None


def weights(share: Tensor, root: float) -> Tensor:
    """(2, n): the weights of the two losses, in the ratio of the roots of the shares and with sum 2."""
    import torch

    roots = torch.stack([share, 1 - share]) ** (1 / root)
    return 2 * roots / roots.sum(dim=0)


@card(
    "mixmo",
    family="multi_input",
    seams=("model", "batch", "loss", "objective"),
    stage="mix forward",
    tags=("soft_targets", "mixes"),
    conflicts={**REFUSED, "index_only": NEEDS_INDICES, "train_resolution": "the boxes are drawn for one size of image"},
    cautions=MINDED,
    when="A wide network and a long run, where mimo is not enough.",
    beware="Needs width: on a narrow network it is worse than mimo. Repeats multiply the cost of a step.",
    source="Ramé et al. 2021, arXiv 2103.06132",
)
class Mixmo(Toggle):
    """Mix what two first layers see, by a box or by a weight, and ask each head for its image by its share.

    In evaluation both see the same image, mixed half and half, and the heads' probabilities are averaged.
    """

    form: Literal["linear", "cut"] = knob("cut", help="mix by one weight everywhere, or some batches by a box")
    alpha: float = knob(2.0, above=0, high=4, help="both parameters of the Beta distribution of the share")
    r: float = knob(3.0, low=1, high=10, help="the losses' weights are in the ratio of the r-th roots of the shares")
    p_cut: float = knob(0.5, low=0, high=1, help="share of the batches that are cut, where the form is cut")
    batch_repeat: int = knob(2, low=1, high=8, help="times that each image of a batch is used, beside others each time")
    decay_tail: float = knob(0.083, low=0, high=1, help="last share of the run, over which p_cut falls to 0")

    def cuts(self, at: Moment) -> float:
        """The probability that a batch is cut."""
        left = 1 - at.clock.step / max(1, at.clock.total)
        falling = min(1.0, left / self.decay_tail) if self.decay_tail > 0 else 1.0
        return self.p_cut * falling if self.form == "cut" else 0.0

    def plug(self, parts: Parts) -> MixmoPlug:
        """ValueError where the network has no stem or head that can be two, or nothing to cut."""
        return MixmoPlug(self, parts)
