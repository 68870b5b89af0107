"""The plan: the tricks of a recipe laid on the seams of the loop."""

from collections.abc import Iterator

from cockpit.cards import card_of, knobs_of
from cockpit.families import CHOICES, Member, Trick
from cockpit.recipe.members import takes_member
from cockpit.recipe.values import Recipe
from cockpit.seams import SEAMS, stage_at


def members(recipe: Recipe) -> Iterator[tuple[str, Member]]:
    """Path and member of every choice of a recipe, those inside a model included."""
    for family in CHOICES:
        yield from _inside(getattr(recipe, family), family)


def _inside(owner: Member, path: str) -> Iterator[tuple[str, Member]]:
    yield path, owner
    for knob in knobs_of(type(owner)):
        inner = getattr(owner, knob.name)
        if takes_member(knob) and inner is not None:
            yield from _inside(inner, f"{path}.{knob.name}")


def at_seams(recipe: Recipe) -> dict[str, Trick]:
    """What stands at a seam: the toggles that are on, by name, and the members of choices that need one, as `loss.triplet`."""
    standing = [(f"{card_of(member).family}.{card_of(member).name}", member) for _, member in members(recipe)]
    return {**recipe.tricks, **{name: member for name, member in standing if member.stands}}


def lay(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Seam -> the names of its tricks in the order they run: by stage, then by name. Seams without tricks are left out."""
    tricks = at_seams(recipe)
    plan = {}
    for seam in SEAMS:
        there = [name for name, trick in tricks.items() if seam in trick.stands]
        plan[seam] = tuple(sorted(there, key=lambda name: (_rank(card_of(tricks[name]).stage, seam), name)))
    return {seam: names for seam, names in plan.items() if names}


def _rank(stage: str, seam: str) -> int:
    return SEAMS[seam].index(stage_at(seam, stage)) if SEAMS[seam] else 0
