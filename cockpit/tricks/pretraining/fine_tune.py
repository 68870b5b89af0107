"""Start from the weights of another run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts, Task

if TYPE_CHECKING:
    from torch import Generator, nn

    from cockpit.nets.transfer import Source

SHOWN = 6
"""Names told in a sentence."""


class FineTuning:
    """Weights that go into the network once, learn slowly, and bring the statistics of the images that they have seen."""

    def __init__(self, settings: FineTune, found: Source, stream: Generator) -> None:
        from cockpit.nets.transfer import fingerprint

        self._settings, self._found, self._stream = settings, found, stream
        self.root = fingerprint(found.state)
        """Hash of the weights it starts from: runs with one root may be averaged, whatever small head they began with."""
        self.notes: tuple[str, ...] = ()
        """What the user should know of names that did not fit."""
        self._loaded: set[nn.Parameter] = set()

    def model(self, model: nn.Module, task: Task) -> nn.Module:
        """The same network with the other's weights. ValueError where less than half of it finds its like."""
        from cockpit.nets.places import head_of
        from cockpit.nets.transfer import fitted, put_in, start_head

        state, place = fitted(self._found.state, self._found.size, model, task), head_of(model)
        own = {f"{place.name}.{name}": value for name, value in place.layer.state_dict().items()}
        fresh = self._fresh_head(all(name in state and state[name].shape == value.shape for name, value in own.items()))
        match = put_in(model, state, skip=frozenset(own if fresh else ()))
        if fresh:
            start_head(place.layer, self._stream)  # type: ignore[arg-type]  # head_of finds linear layers
        missing, unexpected = _told(match.missing), _told(match.unexpected)
        if match.share < 0.5:
            raise ValueError(
                f"fine_tune: run {self._settings.run} has {match.share:.0%} of the weights of this network; "
                f"missing: {missing}; unexpected: {unexpected}"
            )
        if match.missing or match.unexpected:
            self.notes = (f"loaded {match.share:.0%} of the weights; missing: {missing}; unexpected: {unexpected}",)
        self._loaded = {weight for name, weight in model.named_parameters() if name in match.loaded}
        return model

    def _fresh_head(self, fits: bool) -> bool:
        """Whether the head starts anew: as asked for, else where it does not fit or was never trained."""
        if self._settings.reset_head == "off" and not fits:
            raise ValueError("fine_tune: the head of the other run is for other classes; take reset_head: auto")
        trained = all("no_labels" not in trick.card.tags for trick in self._found.recipe.tricks.values())
        return {"on": True, "off": False, "auto": not (fits and trained)}[self._settings.reset_head]

    def params(self, groups: list[dict[str, Any]], _: nn.Module) -> list[dict[str, Any]]:
        """Split each group in two: loaded weights at a share of its rate, and the rest."""
        split = []
        for group in groups:
            loaded = [weight for weight in group["params"] if weight in self._loaded]
            rest = [weight for weight in group["params"] if weight not in self._loaded]
            if loaded:
                split.append({**group, "params": loaded, "lr_scale": group.get("lr_scale", 1.0) * self._settings.lr_factor})
            if rest:
                split.append({**group, "params": rest})
        return split

    def dataset(self, images: Any) -> Any:
        """The images, to be standardised as those of the other run were."""
        mean, std = (value.to(images.mean) for value in (self._found.mean, self._found.std))
        return dataclasses.replace(images, mean=mean, std=std) if mean.shape == images.mean.shape else images


def _told(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more


@card(
    "fine_tune",
    family="pretraining",
    seams=("dataset", "model", "params"),
    conflicts={
        "multi_input": "its several first layers and heads have no like in the other run",
        "whitening_conv": "it would overwrite the first layer that was loaded",
        "zero_last_gamma": "it would overwrite scales that were loaded",
    },
    cautions={
        "prior_bias": "it overwrites the bias of the head, a loaded one too",
        "freeze_bn_scale": "it sets scales that were loaded back to 1",
    },
    when="Few labels, or a network that is long to train: start from one that has seen more.",
    beware="Keep the other run: a resume reads it again. Its training images must not be among the test images here.",
    source="Yosinski et al. 2014, arXiv 1411.1792",
    slide="The slide lists ELMo among the Transformers; it is a bidirectional LSTM.",
)
class FineTune(Toggle):
    """Start from the weights of another run, and standardise as it did.

    Weights go by name and shape; the positions of a vit are resampled for images of another size. The head starts anew where
    the classes are others, or where the other run learned without labels; after such a run a short one here wants lr_factor 1.
    """

    run: str = knob(help="the run to start from: its directory, its id or its name")
    weights: Literal["best", "last"] = knob("best", help="its best checkpoint, as it was scored, or its last")
    lr_factor: float = knob(0.1, low=1e-3, high=1, help="learning rate of the loaded weights, as a share of the others'")
    reset_head: Literal["auto", "on", "off"] = knob("auto", help="start the head anew; auto: where it must be")

    def plug(self, parts: Parts) -> FineTuning:
        """Read the other run. ValueError where it is not there or has no weights."""
        from cockpit.nets.transfer import source

        return FineTuning(self, source(self.run, self.weights), parts.stream("fine_tune"))
