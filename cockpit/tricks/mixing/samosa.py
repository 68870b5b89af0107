"""A learned mix inside a class: an image rebuilt with its own meaning and the looks of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Outcome, Parts
from cockpit.tricks._sent import sent
from cockpit.tricks.mixing._mix import ONE_MIX, cycle

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cockpit.travel import Criterion, Forward, Objective


class Rebuilding:
    """The two extra networks, and a look at what reaches the classifier's head."""

    def __init__(self, knobs: Samosa, parts: Parts) -> None:
        from cockpit.nets.decoder import Decoder, rest_encoder
        from cockpit.nets.masked import drawn_from
        from cockpit.nets.places import head_of

        self._knobs, self._train, self._net = knobs, parts.train, parts.model
        head = head_of(parts.model).layer
        self._seen: list[Tensor] = []
        seen = self._seen

        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen[:] = [inputs[0].float()]

        self._handle = head.register_forward_pre_hook(look)
        features = self._features(parts)
        with drawn_from(parts.stream("samosa")):
            self.rest = rest_encoder(parts.task, knobs.width)
            self.decoder = Decoder(parts.task, features, knobs.width)
        device = next(parts.model.parameters()).device
        self.rest.to(device)
        self.decoder.to(device)

    def _features(self, parts: Parts) -> int:
        """Numbers that reach the head. ValueError where they are not one vector for an image."""
        import torch

        from cockpit.nets.attack import still

        task, device = parts.task, next(parts.model.parameters()).device
        with torch.no_grad(), still(parts.model):
            parts.model(torch.zeros(2, task.channels, task.height, task.width, device=device))
        if not self._seen or self._seen[0].ndim != 2:
            self.close()
            raise ValueError("samosa rebuilds images from one vector before the head, and this network has none")
        return self._seen.pop().shape[1]

    def params(self, groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
        """The extra networks train beside the classifier."""
        return [*groups, {"params": [*self.rest.parameters(), *self.decoder.parameters()]}]

    def objective(self, inner: Objective, forward: Forward, criterion: Criterion) -> Objective:
        """The loss as it was, plus rebuilding, plus what the classifier says of the mixed images."""
        from cockpit.nets.statistics import frozen_statistics

        def learned(batch: Batch, at: Moment) -> Outcome:
            plain = inner(batch, at)
            code, rest = self._seen.pop(), self.rest(batch.x)
            pixels = batch.x * self._train.std + self._train.mean
            loss = plain.loss + self._knobs.rec * _apart(self.decoder(code, rest, *pixels.shape[2:]), pixels)
            if at.clock.epoch >= self._knobs.warm_epochs:
                partner = sent(cycle(len(batch.x), at.stream("samosa")), batch.x.device)
                with frozen_statistics(self._net):  # else evaluation would use the statistics of blurred images
                    loss = loss + self._mixed(batch, code, rest[partner], forward, criterion)
            return plain._replace(loss=loss)

        return learned

    def _mixed(self, batch: Batch, code: Tensor, rest: Tensor, forward: Forward, criterion: Criterion) -> Tensor:
        """The images with the rests of others: they are still of their class, and both codes can be read from them."""
        mixed = self._train.standardise(batch._replace(x=self.decoder(code, rest, *batch.x.shape[2:]))).x
        loss = self._knobs.mix * criterion(forward(mixed.detach()), batch.y)
        if self._knobs.code > 0:
            forward(mixed)
            loss = loss + self._knobs.code * (_apart(self._seen.pop(), code.detach()) + _apart(self.rest(mixed), rest.detach()))
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The weights of the extra networks."""
        return {"rest": self.rest.state_dict(), "decoder": self.decoder.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put saved weights back."""
        self.rest.load_state_dict(state["rest"])
        self.decoder.load_state_dict(state["decoder"])

    def close(self) -> None:
        """Look no more."""
        self._handle.remove()


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared difference."""
    return (one - other).square().mean()


@card(
    "samosa",
    family="mixing",
    seams=("params", "objective"),
    stage="forward",
    tags=("mixes",),
    conflicts={
        "mixes": ONE_MIX,
        "adversarial": "samosa reads the codes of the last pass, which would be that of the attack",
    },
    when="Few labels; with many it is one more augmentation.",
    beware="A step costs several times more. No claim is made to match the paper.",
    source="after the abstract of Sun et al. 2024, Pattern Recognition 145, 109909",
)
class Samosa(Toggle):
    """Learned semantic mix (SAMOSA-like): rebuild an image with the looks of another, and keep its label.

    A small encoder keeps what the classifier's features leave out of an image, and a decoder rebuilds the image from both.
    Mixed images have the features of one and the rest of another. The loss terms, their weights and the two networks are a
    reading of the paper's abstract. Here both images are labelled. SciMix (Sun et al. 2022, arXiv 2205.10158) does it with a
    generator trained against a critic and is not offered.
    """

    warm_epochs: int = knob(2, low=0, high=10_000, help="epochs of learning to rebuild before images are mixed")
    rec: float = knob(1.0, low=0, high=10, help="weight of rebuilding, a mean squared error of pixels")
    mix: float = knob(0.5, low=0, high=2, help="weight of the loss of the mixed images")
    code: float = knob(0.1, low=0, high=10, help="weight of finding both codes again in the mixed image")
    width: int = knob(64, low=8, high=512, help="channels of the extra networks")

    def plug(self, parts: Parts) -> Rebuilding:
        """ValueError where no single vector reaches a head."""
        return Rebuilding(self, parts)
