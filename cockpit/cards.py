"""What a trick or a flag says of itself: its card and its knobs.

A trick is a frozen dataclass. Its fields are its knobs, its docstring is its description, and `@card` adds what the
fields cannot say. The recipe checker, the forms of the screen, `cockpit explain` and the docs all read the card, so a
knob is declared once. This module imports neither torch nor textual.
"""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, dataclass_transform

T = TypeVar("T")

Kind = Literal["choice", "toggle", "flag"]

FAMILIES = (
    "data",
    "score",
    "loss",
    "activation",
    "init",
    "norm",
    "optimizer",
    "schedule",
    "regularisation",
    "augmentation",
    "mixing",
    "multi_input",
    "adversarial",
    "averaging",
    "model",
    "pretraining",
)
"""The families in the order of the lecture, which is the order of every list."""


TAGS = {
    "averages": "what averages the weights",
    "clips": "an optimizer that clips by itself",
    "closure": "an optimizer that looks at a batch several times",
    "create_graph": "an optimizer that differentiates twice",
    "double_backward": "a penalty that differentiates twice",
    "hard_targets": "a loss that makes its targets hard again",
    "index_only": "a loss that needs class indices",
    "looks_twice": "what looks at a batch twice",
    "low_end": "a schedule whose small rates come last",
    "mixes": "what mixes images",
    "moving_rate": "a schedule that moves the rate",
    "no_labels": "a pretraining without labels",
    "no_lr": "an optimizer that finds its own rate",
    "no_mirror": "images whose mirror image is of another class",
    "nonlinear": "an activation that bends",
    "rate_drops": "a schedule that drops the rate at epochs",
    "soft_targets": "what makes targets soft",
    "train_eval": "an optimizer that averages inside",
}
"""The properties that conflicts and cautions may name beside names and families, in words."""


@dataclass(frozen=True)
class Knob:
    """One setting of a trick: what the recipe may say, and the words the screen shows for it."""

    name: str
    type: str
    """int, float, bool, str, choice, `list[...]` of those, or the family whose member it takes (activation ...)."""
    default: Any
    help: str
    optional: bool = False
    """None is a legal value."""
    required: bool = False
    """There is no default: the recipe must say it."""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    """An open lower bound."""
    below: float | None = None
    """An open upper bound."""
    choices: tuple[Any, ...] = ()
    live: bool = False
    """May change between two steps of a running run (a toggle that is live makes all its knobs live)."""

    @property
    def range(self) -> str:
        """The legal values as people write them: `[0, 1)`, `{reflect, zeros}`, or nothing."""
        if self.choices:
            return "{" + ", ".join(map(str, self.choices)) + "}"
        bounds = (self.low, self.above, self.high, self.below)
        if all(bound is None for bound in bounds):
            return ""
        left = f"({self.above:g}" if self.above is not None else f"[{self.low:g}" if self.low is not None else "(-inf"
        right = f"{self.below:g})" if self.below is not None else f"{self.high:g}]" if self.high is not None else "inf)"
        return f"{left}, {right}"


@dataclass(frozen=True)
class Card:
    """Everything the catalogue knows about one trick or flag."""

    name: str
    family: str
    kind: Kind
    summary: str
    """The first line of the docstring."""
    details: str
    """The rest of the docstring."""
    knobs: tuple[Knob, ...]
    cls: type
    when: str = ""
    """When to try it."""
    beware: str = ""
    source: str = ""
    seams: tuple[str, ...] = ()
    """The named places of the training loop at which it plugs in (cockpit.seams)."""
    stage: str = ""
    """Where it stands among the others at its seams, a word for each that has stages (cockpit.seams.stage_at)."""
    live: bool = False
    """A toggle that may be switched and edited between two steps of a running run."""
    tags: tuple[str, ...] = ()
    """Properties that the conflicts of others may name, such as `soft_targets`."""
    conflicts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Name, family or tag that it cannot run with -> the reason, as one clause."""
    cautions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Name, family or tag that it runs with, but -> what the user should know or what is settled, as one clause."""
    slide: str = ""
    """What the lecture's slide says otherwise and what is right, in one sentence; shown, never in the way."""
    aliases: tuple[str, ...] = ()

    def knob(self, name: str) -> Knob:
        """The knob of that name; KeyError where there is none."""
        return {knob.name: knob for knob in self.knobs}[name]


def knob(default: Any = dataclasses.MISSING, *, help: str, **limits: Any) -> Any:
    """Declare a field of a trick as a knob. `limits` are the fields of `Knob` that the annotation cannot say."""
    metadata = {"help": help, **limits}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata, kw_only=True)
    return dataclasses.field(default=default, metadata=metadata)


def knobs_of(cls: type) -> tuple[Knob, ...]:
    """The knobs of a dataclass, read from its fields and annotations."""
    return _read_knobs(cls)


@functools.cache  # annotations are text until they are evaluated, and a screen asks a thousand times
def _read_knobs(cls: type) -> tuple[Knob, ...]:
    hints = typing.get_type_hints(cls)
    return tuple(_knob(field, hints[field.name]) for field in dataclasses.fields(cls) if "help" in field.metadata)


def _knob(field: "dataclasses.Field[Any]", hint: Any) -> Knob:
    optional = False
    if isinstance(hint, types.UnionType) and types.NoneType in typing.get_args(hint):
        optional = True
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not types.NoneType)
    choices: tuple[Any, ...] = ()
    if typing.get_origin(hint) is Literal:
        choices, type_name = typing.get_args(hint), "choice"
    elif typing.get_origin(hint) is tuple:
        type_name = f"list[{typing.get_args(hint)[0].__name__}]"
    else:
        type_name = getattr(hint, "family", None) or hint.__name__
    missing = field.default is dataclasses.MISSING
    settings = {"choices": choices, **field.metadata}
    return Knob(
        name=field.name,
        type=type_name,
        default=None if missing else field.default,
        optional=optional,
        required=missing,
        **settings,
    )


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(knob,))
def card(name: str, **said: Any) -> Callable[[type[T]], type[T]]:
    """Make a class a frozen dataclass with a card. `said` are the fields of `Card` that only the author knows.

    A member of a choice and a flag inherit family and kind from their base (cockpit.families); a toggle says its family.
    """

    def decorate(cls: type[T]) -> type[T]:
        inherited = {key: vars(base)[key] for base in cls.__mro__ for key in ("family", "kind") if key in vars(base)}
        frozen = dataclass(frozen=True)(cls)
        summary, _, details = (inspect.getdoc(cls) or "").partition("\n")
        setattr(  # noqa: B010  (an attribute that the class body does not declare)
            frozen,
            "card",
            Card(
                name=name,
                summary=summary.strip(),
                details=details.strip(),
                knobs=knobs_of(frozen),
                cls=frozen,
                **inherited,
                **said,
            ),
        )
        return frozen

    return decorate


def card_of(trick: Any) -> Card:
    """The card of a trick's class or instance."""
    found: Card = trick.card
    return found
