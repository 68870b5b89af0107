"""Layers that do not learn: for a while, for good, or all but the head."""

from __future__ import annotations

from fnmatch import fnmatchcase
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Gradients, Moment, Parts

if TYPE_CHECKING:
    from torch import nn

FEATURE_IMAGES = 2000
"""Training images from which the statistics of the features are taken."""
CAUTIONS = {"recalibrate_bn": "in what is scored, the statistics of frozen norm layers are taken anew"}


def still(model: nn.Module, names: frozenset[str]) -> None:
    """Keep modules in evaluation mode, whatever mode the network is put in: norm statistics stay, dropout is off."""
    plain = type(model).train

    def train(self: nn.Module, mode: bool = True) -> nn.Module:
        plain(self, mode)
        for name, module in self.named_modules():
            if name in names:
                module.training = False
        return self

    model.train = MethodType(train, model)  # type: ignore[method-assign]  # bound: a copy of the network gets its own
    model.train(model.training)


def loosen(model: nn.Module) -> None:
    """Take `still` back."""
    if "train" in vars(model):
        del model.train
    model.train(model.training)


def inside(model: nn.Module, roots: list[nn.Module]) -> frozenset[str]:
    """Names of these modules and of all that they hold."""
    held = {module for root in roots for module in root.modules()}
    return frozenset(name for name, module in model.named_modules() if module in held)


def around_head(model: nn.Module, head: nn.Module) -> frozenset[str]:
    """Names of all modules but the head, what it holds, and what holds it."""
    own = {name for name, module in model.named_modules() if module in set(head.modules())}
    return frozenset(
        name
        for name, _ in model.named_modules()
        if name and name not in own and not any(of.startswith(f"{name}.") for of in own)
    )


def chosen(model: nn.Module, layers: str, pattern: str) -> tuple[frozenset[str], set[nn.Parameter]]:
    """Names of the modules that `freeze` means, and their weights; a pattern may name single weights too."""
    from cockpit.nets.places import head_of, stem_of

    if layers == "none":
        return frozenset(), set()
    if layers == "backbone":
        head = head_of(model).layer
        return around_head(model, head), {*model.parameters()} - {*head.parameters()}
    if layers == "stem":
        roots = [stem_of(model).layer, *_norm_after(model, stem_of(model).name)]
    else:
        roots = [module for name, module in model.named_modules() if name and fnmatchcase(name, pattern)]
    names = inside(model, roots)
    return names, {weight for name, weight in model.named_parameters() if _owner(name) in names or fnmatchcase(name, pattern)}


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _norm_after(model: nn.Module, stem: str) -> list[nn.Module]:
    """The norm layer of the stem, if its neighbour is one."""
    from torch import nn

    siblings = list(model.get_submodule(_owner(stem)).children())
    after = siblings[siblings.index(model.get_submodule(stem)) + 1 :][:1]
    weighted = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
    return [layer for layer in after if not any(isinstance(module, weighted) for module in layer.modules())]


class Frozen:
    """Layers that the optimizer does not move. Those that wait for an epoch are in the optimizer from the start, and until
    then it finds no gradient of theirs: neither decay nor momentum touches them, and which layers are shown never changes."""

    def __init__(self, settings: Freeze, model: nn.Module) -> None:
        self._until, self._model = settings.until_epoch, model
        names, self._frozen = chosen(model, settings.layers, settings.pattern)
        if settings.layers != "none" and not self._frozen:
            there = ", ".join(name for name, _ in model.named_children())
            raise ValueError(f"freeze: no layer is called {settings.pattern!r}; this network has {there}")
        if all(weight in self._frozen for weight in model.parameters() if weight.requires_grad):
            raise ValueError("freeze: nothing would be left to train; take fewer layers")
        self._waiting = bool(self._until and self._frozen)
        still(model, names)
        if not self._until:
            self._let_learn(False)

    def _let_learn(self, yes: bool) -> None:
        for weight in self._frozen:
            weight.requires_grad_(yes)

    def schedule(self, lr: float, at: Moment) -> float:
        """The first seam of a step, where the layers begin to learn when it is time; the rate stays as it is."""
        if self._waiting and at.clock.epoch >= self._until:
            self._waiting = False
            loosen(self._model)
        return lr

    def grads(self, grads: Gradients, _: Moment) -> Gradients:
        """Without those of the layers that wait; whatever norm was measured is no longer theirs."""
        if not self._waiting:
            return grads
        ours = {weight.grad for weight in self._frozen}
        for weight in self._frozen:
            weight.grad = None
        return Gradients([gradient for gradient in grads.tensors if gradient not in ours], None)

    def close(self) -> None:
        """Let everything learn again."""
        loosen(self._model)
        self._let_learn(True)


@card(
    "freeze",
    family="pretraining",
    seams=("schedule", "grads"),
    stage="penalty",
    conflicts={"linear_probe": "it freezes everything but the head already"},
    cautions={**CAUTIONS, "l1": "its proximal form pulls also at layers that wait for their epoch"},
    when="Beside fine_tune: what a network has long learned needs no change, or not before the fresh head has settled.",
    beware="Frozen layers that were never trained stay random.",
    source="Yosinski et al. 2014, arXiv 1411.1792",
)
class Freeze(Toggle):
    """Keep layers as they are: no update, no weight decay, norm statistics fixed, dropout off.

    The stem is the first layer with weights and its norm, the backbone everything but the head.
    """

    layers: Literal["stem", "backbone", "none", "pattern"] = knob("stem", help="which layers")
    pattern: str = knob("", help="with layers: pattern, the names of layers or weights, with * and ?: blocks.0*")
    until_epoch: int = knob(0, low=0, high=100_000, help="epoch from which they learn after all; 0 is never")

    def __post_init__(self) -> None:
        if bool(self.pattern.strip()) != (self.layers == "pattern"):
            raise ValueError("freeze: layers: pattern and a pattern such as blocks.0* go together")

    def plug(self, parts: Parts) -> Frozen:
        """Freeze now, before the optimizer is built. ValueError where nothing is frozen or nothing is left."""
        return Frozen(self, parts.model)


class Probing:
    """A fresh head on a network that stays as it is."""

    def __init__(self, model: nn.Module, head: str) -> None:
        self._model, self._head = model, head

    def model(self, model: nn.Module, _: Any) -> nn.Module:
        """The head is fresh already."""
        return model

    def params(self, groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
        """Only the head is left, when all that changes the network has been done."""
        head = model.get_submodule(self._head)
        own = {*head.parameters()}
        for weight in model.parameters():
            weight.requires_grad_(weight in own)
        still(model, around_head(model, head))
        left = [{**group, "params": [weight for weight in group["params"] if weight in own]} for group in groups]
        return [group for group in left if group["params"]]

    def close(self) -> None:
        """Let everything learn again."""
        loosen(self._model)
        self._model.requires_grad_(True)


@card(
    "linear_probe",
    family="pretraining",
    seams=("model", "params"),
    conflicts={"multi_input": "one image is shown to one head"},
    cautions=CAUTIONS,
    when="To measure what a network already knows: beside fine_tune, which brings the weights.",
    beware="Without fine_tune it probes random features. A linear head takes a larger lr and no weight decay.",
    source="Alain & Bengio 2016, arXiv 1610.01644; He et al. 2022, arXiv 2111.06377, appendix A",
)
class LinearProbe(Toggle):
    """Train only a fresh linear head; the rest stays as it is, its norm statistics too, its dropout off."""

    norm_features: bool = knob(True, help="standardise the features before the head, by clean training images")

    def plug(self, parts: Parts) -> Probing:
        """Put the fresh head in. ValueError where the network has no linear head."""
        import torch
        from torch import nn

        from cockpit.nets.places import head_of
        from cockpit.nets.transfer import Standardise, features, fresh_head

        place, stream = head_of(parts.model), parts.stream("linear_probe")
        assert isinstance(place.layer, nn.Linear)
        head: nn.Module = fresh_head(place.layer, stream)
        if self.norm_features:
            places = torch.randperm(len(parts.train), generator=stream)[:FEATURE_IMAGES]
            head = nn.Sequential(Standardise(features(parts.model, parts.train, places)), head)
        place.put(parts.model, head)
        return Probing(parts.model, place.name)
