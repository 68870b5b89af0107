"""The plan made real: the tricks of a recipe as functions on the seams. The loop calls `through` and knows no trick."""

from collections.abc import Callable
from typing import Any

from torch import nn

from cockpit.families import Batch, Moment
from cockpit.recipe import Recipe, lay
from cockpit.seams import SEAMS

Standardise = Callable[[Batch], Batch]


class Wiring:
    """Each trick's plug, and for each seam the plugs in the order of the plan."""

    def __init__(self, recipe: Recipe, model: nn.Module, standardise: Standardise) -> None:
        self.standardise = standardise
        self.plan = lay(recipe)
        self.recipe = recipe
        self.plugs: dict[str, Any] = {name: trick.plug(model) for name, trick in recipe.tricks.items()}
        self._seams = {seam: self._chain(seam) for seam in SEAMS}
        self._batch = self._batch_chain(standardise)

    def _chain(self, seam: str) -> list[Callable[..., Any]]:
        return [getattr(self.plugs[name], seam) for name in self.plan.get(seam, ())]

    def _batch_chain(self, standardise: Standardise) -> list[Callable[[Batch, Moment], Batch]]:
        """Standardising has its place among the tricks: after those that work on pixels, before those that erase and mix."""
        stages = SEAMS["batch"]
        names = self.plan.get("batch", ())
        before = [name for name in names if stages.index(self.recipe.tricks[name].card.stage) < stages.index("standardise")]
        chain = self._seams["batch"]
        return [*chain[: len(before)], lambda batch, at: standardise(batch), *chain[len(before) :]]

    def through(self, seam: str, value: Any, *context: Any) -> Any:
        """Pass a value through the tricks on a seam."""
        for trick in self._seams[seam]:
            value = trick(value, *context)
        return value

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """Pass a batch through the pixels, standardise, erase and mix stages."""
        for stage in self._batch:
            batch = stage(batch, at)
        return batch

    def uses(self, seam: str) -> bool:
        """Whether any trick stands at a seam."""
        return bool(self._seams[seam])

    def owner(self, seam: str) -> str:
        """The last trick on a seam, by name; empty where there is none."""
        return (self.plan.get(seam) or ("",))[-1]

    def state_dict(self) -> dict[str, Any]:
        """The state of every plug that has some."""
        return {name: plug.state_dict() for name, plug in self.plugs.items() if hasattr(plug, "state_dict")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put saved states back; a trick that came later than the state starts fresh."""
        for name, saved in state.items():
            if hasattr(self.plugs.get(name), "load_state_dict"):
                self.plugs[name].load_state_dict(saved)

    def close(self) -> None:
        """Take off the network what the plugs hung on it."""
        for plug in self.plugs.values():
            if hasattr(plug, "close"):
                plug.close()
