"""The plan made real: the tricks of a recipe as functions on the seams. The loop calls `through` and knows no trick."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from cockpit.families import Trick
from cockpit.recipe import Recipe, at_seams, lay
from cockpit.seams import SEAMS, stage_at
from cockpit.travel import Batch, Moment, Parts


class Wiring:
    """Each trick's plug, and for each seam the plugs in the order of the plan."""

    def __init__(self, recipe: Recipe, parts: Parts) -> None:
        self.parts = parts
        self.tricks: Mapping[str, Trick] = {}
        self.plugs: dict[str, Any] = {}
        self._lay(recipe)

    def _lay(self, recipe: Recipe) -> None:
        """Plug in what is new, those that change images or network first, so that the others see them as they will be."""
        old, self.tricks = self.tricks, at_seams(recipe)
        self.plan = lay(recipe)
        kept = {name: self.plugs[name] for name, trick in self.tricks.items() if old.get(name) == trick}
        fresh = {}
        for name in sorted(self.tricks.keys() - kept.keys(), key=self._turn):
            fresh[name] = plug = self.tricks[name].plug(self.parts)
            seams = self.tricks[name].stands
            if "dataset" in seams:
                self.parts = dataclasses.replace(self.parts, train=plug.dataset(self.parts.train))
            if "model" in seams:
                self.parts = dataclasses.replace(self.parts, model=plug.model(self.parts.model, self.parts.task))
        self.plugs = kept | fresh
        self._seams = {seam: self._chain(seam) for seam in SEAMS}
        self._batch = self._batch_chain()

    def _turn(self, name: str) -> tuple[bool, bool, str]:
        seams = self.tricks[name].stands
        return "dataset" not in seams, "model" not in seams, name

    def _chain(self, seam: str) -> list[Callable[..., Any]]:
        return [getattr(self.plugs[name], seam) for name in self.plan.get(seam, ())]

    def _batch_chain(self) -> list[Callable[[Batch, Moment], Batch]]:
        """Standardising has its place among the tricks: after those that work on pixels, before those that erase and mix."""
        stages = SEAMS["batch"]
        names = self.plan.get("batch", ())
        place = stages.index("standardise")
        before = [name for name in names if stages.index(stage_at("batch", self.tricks[name].card.stage)) < place]
        chain, standardise = self._seams["batch"], self.parts.train.standardise
        return [*chain[: len(before)], lambda batch, at: standardise(batch), *chain[len(before) :]]

    @property
    def model(self) -> nn.Module:
        """The network as the tricks made it."""
        return self.parts.model

    @property
    def root(self) -> str:
        """The weights that a trick started the network from; empty where it starts from its own."""
        return next((str(plug.root) for plug in self.plugs.values() if hasattr(plug, "root")), "")

    @property
    def notes(self) -> list[str]:
        """What the tricks have to say about this run before it starts."""
        return [f"{name}: {note}" for name, plug in self.plugs.items() for note in getattr(plug, "notes", ())]

    def through(self, seam: str, value: Any, *context: Any) -> Any:
        """Pass a value through the tricks on a seam."""
        for trick in self._seams[seam]:
            value = trick(value, *context)
        return value

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """Pass a batch through its stages, from geometry to mix."""
        for stage in self._batch:
            batch = stage(batch, at)
        return batch

    def steps(self, batches: int, epoch: int) -> int:
        """The steps of an epoch that would have so many without the samplers."""
        for name in self.plan.get("sampler", ()):
            if hasattr(self.plugs[name], "steps"):
                batches = self.plugs[name].steps(batches, epoch)
        return batches

    def tagged(self, tag: str) -> bool:
        """Whether any trick of the plan has a tag."""
        return any(tag in trick.card.tags for trick in self.tricks.values())

    def uses(self, seam: str) -> bool:
        """Whether any trick stands at a seam."""
        return bool(self._seams[seam])

    def views(self, model: nn.Module) -> nn.Module:
        """The network as test-time tricks let it see an image; which weights it has is not their affair."""
        for name in self.plan.get("evaluate", ()):
            if stage_at("evaluate", self.tricks[name].card.stage) == "views":
                model = self.plugs[name].evaluate(model)
        return model

    def owner(self, seam: str) -> str:
        """The tricks on a seam, by name; empty where there is none."""
        return "+".join(self.plan.get(seam, ()))

    def relay(self, recipe: Recipe) -> None:
        """Take over another recipe; a trick that stays the same keeps its plug, one whose knobs changed its state."""
        state, old = self.state_dict(), self.tricks
        new = at_seams(recipe)
        for name, trick in old.items():
            if new.get(name) != trick and hasattr(self.plugs[name], "close"):
                self.plugs[name].close()
        self._lay(recipe)
        self.load_state_dict({name: state[name] for name in state if old[name] != new.get(name)})

    def state_dict(self) -> dict[str, Any]:
        """The state of every plug that has some."""
        return {name: plug.state_dict() for name, plug in self.plugs.items() if hasattr(plug, "state_dict")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put saved states back; a trick that came later than the state starts fresh."""
        for name, saved in state.items():
            if hasattr(self.plugs.get(name), "load_state_dict"):
                self.plugs[name].load_state_dict(saved)
