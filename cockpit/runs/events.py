"""What a run says of itself, one line of `events.jsonl` each. Frozen plain data; the file is append-only."""

import dataclasses
import json
import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from sys import intern
from typing import Any, ClassVar

from cockpit.runs.facts import Inputs, Outputs


@dataclass(frozen=True, kw_only=True)
class Event:
    """Every event knows when it was written (unix seconds) and the optimizer steps done by then."""

    kind: ClassVar[str]
    t: float = 0.0
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Launched(Event):
    """A host took the run: the first event of every start and every resume."""

    kind: ClassVar[str] = "launched"
    pid: int
    host: str
    versions: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer with weights, in the order of the forward pass."""

    name: str
    kind: str
    shape: tuple[int, ...]
    params: int
    trained: bool = True
    """It is in the hands of the optimizer."""


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The data as the screen shows it."""

    source: str
    classes: tuple[str, ...]
    channels: int
    height: int
    width: int
    train: int
    val: int
    test: int
    """Images in the sealed test set; they are counted, never shown."""
    train_counts: tuple[int, ...]
    """Training images of each class."""
    val_counts: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    duplicates: dict[str, int] = field(default_factory=dict)
    """Images that stand again: keys `train`, `train_val`, `train_test`, `val_test`."""
    home: str = ""
    """Where the images wait until they are wanted, in words; empty in records of older versions."""


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """Everything is built; the first step comes next."""

    kind: ClassVar[str] = "started"
    device: str
    precision: str
    params: int
    layers: tuple[Layer, ...]
    data: DataFacts
    plan: dict[str, list[str]]
    """Seam -> the tricks on it, in order."""
    steps_per_epoch: int
    """Of the first epoch."""
    total_steps: int
    epochs: int
    batch_size: int
    epoch_lengths: tuple[int, ...] = ()
    """Steps of each epoch, where they are not all alike."""
    warmup_steps: int = 0
    probe_every: int = 10
    chance_loss: float = math.nan
    """The configured loss of predicting the class shares for every image; under cross-entropy, their entropy in nats."""
    loss_floor: float = 0.0
    """The least value the configured loss can take; above 0 under label smoothing."""
    chance_accuracy: float = math.nan
    """Share of the largest training class."""
    optimizer: str = ""
    weight_decay: float = 0.0
    """The largest of its groups."""
    criterion: str = "logits"
    """What the loss takes: logits, probabilities, log_probabilities, values; empty where that is not known."""
    frozen: tuple[str, ...] = ()
    """Weights that ask for no gradient."""
    traits: tuple[str, ...] = ()
    """Tags of everything in the plan (cockpit.cards.TAGS)."""
    accumulate: int = 1
    """Backward passes for each update, as declared."""
    early_norm: bool = False
    """The first layer is normalised, before it or after it: the scale of the inputs does not matter to the rest."""


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """Training goes on from the checkpoint of this step; what was recorded after it no longer counts."""

    kind: ClassVar[str] = "resumed"
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class Measured(Event):
    """The network before its first step, on training images."""

    kind: ClassVar[str] = "measured"
    samples: int
    loss: float
    expected_loss: float
    """The configured loss of all-equal logits, moved by the bias of the head where that was set on purpose."""
    accuracy: float
    inputs: Inputs | None = None
    """Of the clean probe, as it enters the network."""
    val_inputs: Inputs | None = None
    outputs: Outputs | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """Scores in evaluation mode. `train_*` is the clean probe: a fixed set of training images, not augmented."""

    kind: ClassVar[str] = "evaluated"
    epoch: int
    """Epochs done."""
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    probe_size: int
    val_size: int
    best: bool
    """The best validation score of the run so far; its weights are in checkpoints/best.pt."""
    weights: str = "raw"
    """Whose weights were scored: raw, or the averaging trick's name."""
    seconds: float = 0.0
    largest_class_share: float = math.nan
    """Share of the validation predictions that fall into the most predicted class."""
    scores: dict[str, float] = field(default_factory=dict)
    """Every score on validation, by name."""
    score: str = "accuracy"
    """The one that ranks."""
    plain_accuracy: float | None = None
    """On validation, of the weights as trained and without test-time tricks, where `weights` says that others were scored."""
    plain_loss: float | None = None
    recalls: Sequence[float] = ()
    """Of each class on validation; NaN where it has no image. Kept as an array: a run may have a thousand classes."""
    outputs: Outputs | None = None
    """On the clean probe."""
    train_mode_loss: float = math.nan
    """On the clean probe with dropout on and norm layers looking at the batch; NaN where the mode makes no difference."""
    train_mode_accuracy: float = math.nan
    in_training_mode: bool = False
    """The validation was made with the network in training mode (a loop of the user's own)."""
    said_accuracy: float = math.nan
    """What the user's own loop says the validation accuracy is, where it says so."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "recalls", array("d", self.recalls))


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One way out of a finding: edits of the recipe, or a command, or both."""

    label: str
    edits: tuple[tuple[str, str], ...] = ()
    """(path, value), in the grammar of `--set`."""
    verb: str = ""
    """A command to the host, such as `stop`."""
    since: str = "now"
    """From where the edits help: `now`, from this step on; `before`, from a checkpoint before the illness; `start`, only in a
    new run from its first step."""


@dataclass(frozen=True, kw_only=True)
class Flagged(Event):
    """A flag rose, or rose to a higher severity."""

    kind: ClassVar[str] = "flagged"
    id: str
    severity: str
    """info, warning or critical."""
    since: int = 0
    """Step of the first of the looks that led to it."""
    epoch: float
    headline: str
    why: str = ""
    evidence: dict[str, float | str] = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cleared(Event):
    """A flag's condition has been gone for long enough."""

    kind: ClassVar[str] = "cleared"
    id: str


@dataclass(frozen=True, kw_only=True)
class Snoozed(Event):
    """The user has seen a finding and does not want to hear of it for a while."""

    kind: ClassVar[str] = "snoozed"
    id: str
    until: int
    """Step from which on it counts again."""


@dataclass(frozen=True, kw_only=True)
class Remedied(Event):
    """A remedy was applied, by a key or by `--auto-remedy`."""

    kind: ClassVar[str] = "remedied"
    id: str
    """The flag whose finding it answers."""
    label: str
    edits: tuple[tuple[str, str], ...] = ()
    how: str = "live"
    """live, rollback (to `step`), or fork (a new run)."""
    by: str = "user"
    """user, or auto."""
    run: str = ""
    """The new run, where it is a fork."""


@dataclass(frozen=True, kw_only=True)
class Commanded(Event):
    """The host obeyed or refused a command."""

    kind: ClassVar[str] = "commanded"
    id: str
    verb: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Edited(Event):
    """The recipe was edited while the run ran."""

    kind: ClassVar[str] = "edited"
    path: str
    old: str
    new: str
    live: bool
    """True: it holds from this step on. False: it waits for the next run."""


@dataclass(frozen=True, kw_only=True)
class Checkpointed(Event):
    """A checkpoint was written whole."""

    kind: ClassVar[str] = "checkpointed"
    path: str
    """Relative to the run directory."""
    reason: str
    """epoch, best, asked, stop, end."""


@dataclass(frozen=True, kw_only=True)
class Paused(Event):
    """Training waits between two steps."""

    kind: ClassVar[str] = "paused"
    released: bool = False
    """It has left the device, and goes on from its checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Continued(Event):
    """Training goes on after a pause."""

    kind: ClassVar[str] = "continued"


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Something the user should know that is not a flag, such as duplicate images."""

    kind: ClassVar[str] = "noted"
    text: str
    level: str = "info"


@dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """The host let go of the run."""

    kind: ClassVar[str] = "ended"
    state: str
    """finished, stopped, interrupted or failed."""
    reason: str = ""
    epoch: float = 0.0
    kept: str = "last"
    """Which weights the run ends with: last, or best."""


KINDS: dict[str, type[Event]] = {cls.kind: cls for cls in Event.__subclasses__()}
_NESTED: dict[str, Any] = {
    "data": DataFacts,
    "layers": Layer,
    "remedies": Remedy,
    "inputs": Inputs,
    "val_inputs": Inputs,
    "outputs": Outputs,
}
PLAIN = (int, str, bool, float)
"""Types of fields that JSON holds as they are."""


def encode(event: Event) -> str:
    """One line of JSON, without its newline. NaN and infinities become strings, so that any reader can parse it."""
    return json.dumps({"kind": event.kind, **_plain(dataclasses.asdict(event))}, allow_nan=False)


def decode(line: str) -> Event | None:
    """The event of a line; None for a kind that this version does not know. ValueError where the line is no event."""
    try:
        raw = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep for an event") from None
    if not isinstance(raw, dict):
        raise ValueError("an event is a JSON object")
    cls = KINDS.get(str(raw.get("kind")))
    return _build(cls, raw) if cls else None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, array)):
        return [_plain(item) for item in value]
    return value


def _build(cls: Any, raw: dict[str, Any]) -> Any:
    """Fill a dataclass from JSON: unknown keys are a newer version's and are left out."""
    filled = {}
    for name, kind, read in _readers(cls):
        if name in raw:
            value = raw[name]
            filled[name] = value if type(value) is kind else read(value)
    return cls(**filled)


@cache
def _readers(cls: Any) -> tuple[tuple[str, Any, Callable[[Any], Any]], ...]:
    """(name, the type that is taken as it is, what makes the field of anything else): a long log has a million fields."""
    return tuple((spec.name, spec.type if spec.type in PLAIN else None, _reader(spec)) for spec in dataclasses.fields(cls))


def _reader(spec: "dataclasses.Field[Any]") -> Callable[[Any], Any]:
    hint, nested = spec.type, _NESTED.get(spec.name)
    if nested:
        return lambda value: _build_all(nested, value)
    if hint in (int, str, bool):
        return lambda value: _refuse(value, hint)
    if hint in (float, float | None):
        return lambda value: float(value) if isinstance(value, (str, int)) else value
    if hint == dict[str, float]:
        return lambda value: {intern(str(name)): float(number) for name, number in dict(value).items()}
    return _frozen if "tuple" in str(hint) else lambda value: value


def _build_all(cls: Any, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_build(cls, item) for item in value)
    return None if value is None else _build(cls, value)


def _refuse(value: Any, hint: Any) -> Any:
    raise ValueError(f"expected {hint.__name__}, got {value!r}")


def _frozen(value: Any) -> Any:
    return tuple(tuple(item) if isinstance(item, list) else item for item in value) if isinstance(value, list) else value
