"""A recipe back to YAML, fully resolved, so that reading it again gives an equal recipe."""

from typing import Any

import yaml

from cockpit.cards import card_of, knobs_of
from cockpit.catalog import flags
from cockpit.families import CHOICES, Member, discriminator
from cockpit.recipe.members import default
from cockpit.recipe.values import Notify, Recipe


def to_tree(recipe: Recipe) -> dict[str, Any]:
    """Plain data of every section with every knob; of the flags, those that differ from the default."""
    tree: dict[str, Any] = {"about": recipe.about} if recipe.about else {}
    tree["seed"] = recipe.seed
    tree |= {family: plain(getattr(recipe, family)) for family in CHOICES}
    tree["train"] = settings(recipe.train)
    tree["tricks"] = {name: settings(trick) or True for name, trick in sorted(recipe.tricks.items())}
    tree["flags"] = _changed_flags(recipe)
    tree["notify"] = {} if recipe.notify == Notify() else settings(recipe.notify)
    return {key: value for key, value in tree.items() if value != {}}


def dump(recipe: Recipe) -> str:
    """The YAML of a recipe."""
    tree = to_tree(recipe)
    return yaml.dump(tree, Dumper=_Dumper, default_flow_style=None, sort_keys=False, allow_unicode=True, width=120)


def brief(value: Any) -> str:
    """Plain data as one line of YAML, such as `0.1` or `{alpha: 0.2}`: the grammar of `--set`."""
    text = yaml.dump(value, Dumper=_LineDumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return text.removesuffix("...\n").strip()


def plain(value: Any) -> Any:
    """A knob's value as plain data: a member without knobs is its name."""
    if isinstance(value, Member):
        card = card_of(value)
        knobs = settings(value)
        return {discriminator(card.family): card.name, **knobs} if knobs else card.name
    return list(value) if isinstance(value, tuple) else value


def settings(owner: Any) -> dict[str, Any]:
    """The knobs of a trick, a flag or `train` as plain data."""
    return {knob.name: plain(getattr(owner, knob.name)) for knob in knobs_of(type(owner))}


def _changed_flags(recipe: Recipe) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, card in sorted(flags().items()):
        flag = recipe.flags.get(name)
        if flag is None:
            changed[name] = False
        elif flag != default(card):
            changed[name] = settings(flag) or True
    return changed


class _Dumper(yaml.SafeDumper):
    """Writes `on` and `off`, repeats what is equal instead of pointing at it, and keeps the lines of a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _LineDumper(_Dumper):
    """Keeps a text on one line."""


def _bool(dumper: yaml.SafeDumper, value: bool) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:bool", "on" if value else "off")


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _line(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if len(text.splitlines()) > 1 else None)


_Dumper.add_representer(bool, _bool)
_Dumper.add_representer(str, _text)
_LineDumper.add_representer(bool, _bool)
_LineDumper.add_representer(str, _line)
