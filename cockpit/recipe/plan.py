"""The plan: the tricks of a recipe laid on the seams of the loop."""

from cockpit.cards import Card, card_of
from cockpit.recipe.values import Recipe
from cockpit.seams import SEAMS


def lay(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Seam -> the names of its tricks in the order they run: by stage, then by name. Seams without tricks are left out."""
    cards = [card_of(trick) for trick in recipe.tricks.values()]
    plan = {}
    for seam, stages in SEAMS.items():
        there = [card for card in cards if seam in card.seams]
        plan[seam] = tuple(card.name for card in sorted(there, key=lambda card: (_stage(card, stages), card.name)))
    return {seam: names for seam, names in plan.items() if names}


def _stage(card: Card, stages: tuple[str, ...]) -> int:
    return stages.index(card.stage) if card.stage in stages else 0
