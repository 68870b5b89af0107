"""The plan made real: the tricks of a recipe as functions on the seams. The loop calls `through` and knows no trick."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
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
        """Plug in what is new. Where a trick refuses (ValueError), everything stands as it stood before."""
        old, parts, tricks = self.tricks, self.parts, at_seams(recipe)
        kept = {name: self.plugs[name] for name, trick in tricks.items() if old.get(name) == trick}
        fresh: dict[str, Any] = {}
        self.tricks = tricks
        try:
            for name in sorted(tricks.keys() - kept.keys(), key=self._turn):
                self._plug_in(name, fresh)
        except ValueError:
            _close(fresh.values())
            self.tricks, self.parts = old, parts
            raise
        self.plan, self.plugs = lay(recipe), kept | fresh
        self._join()

    def _join(self) -> None:
        """The plugs of each seam, in the order of the plan."""
        self._seams = {seam: self._chain(seam) for seam in SEAMS}
        self._batch = self._batch_chain()

    def _plug_in(self, name: str, fresh: dict[str, Any]) -> None:
        """Plug one trick in; what it makes of the images and the network is what the next ones see."""
        fresh[name] = plug = self.tricks[name].plug(self.parts)
        seams = self.tricks[name].stands
        if "dataset" in seams:
            self.parts = dataclasses.replace(self.parts, train=plug.dataset(self.parts.train))
        if "model" in seams:
            self.parts = dataclasses.replace(self.parts, model=plug.model(self.parts.model, self.parts.task))

    def _turn(self, name: str) -> tuple[bool, bool, bool, str]:
        """What changes the images comes first, then what changes the network for good, then what hangs on it for a while."""
        trick = self.tricks[name]
        return "dataset" not in trick.stands, "model" not in trick.stands, trick.card.live, name

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

    def scored(self, model: nn.Module) -> tuple[nn.Module, list[str]]:
        """The network whose score counts, and the tricks that made it another than the one given."""
        moved = []
        for name in self.plan.get("evaluate", ()):
            before, model = model, self.plugs[name].evaluate(model)
            moved += [name] if model is not before else []
        return model, moved

    def relay(self, recipe: Recipe) -> None:
        """Take over another recipe; a trick that stays the same keeps its plug, one whose knobs changed its state.

        Raises ValueError where a trick refuses the network; then the old ones go on as they were.
        """
        state, old, new = self.state_dict(), self.tricks, at_seams(recipe)
        gone = [name for name, trick in old.items() if new.get(name) != trick]
        _close(self.plugs[name] for name in gone)
        try:
            self._lay(recipe)
        except ValueError:
            for name in sorted(gone, key=self._turn):
                self._plug_in(name, self.plugs)
            self._join()
            self.load_state_dict({name: state[name] for name in gone if name in state})
            raise
        self.load_state_dict({name: state[name] for name in gone if name in state})

    def state_dict(self) -> dict[str, Any]:
        """The state of every plug that has some."""
        return {name: plug.state_dict() for name, plug in self.plugs.items() if hasattr(plug, "state_dict")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put saved states back; a trick that came later than the state starts fresh."""
        for name, saved in state.items():
            if hasattr(self.plugs.get(name), "load_state_dict"):
                self.plugs[name].load_state_dict(saved)


def _close(plugs: Iterable[Any]) -> None:
    """Take off the network what these plugs hung there."""
    for plug in plugs:
        if hasattr(plug, "close"):
            plug.close()
