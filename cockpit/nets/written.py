"""A network read from a line of short words, one for each layer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from torch import nn

from cockpit.nets.layers import MakeActivation, MakeNorm, sequence
from cockpit.nets.resnet import Plan, residual
from cockpit.travel import Task

WORDS: Mapping[str, str] = {
    "c32k5": r"c(?P<maps>\d+)k(?P<side>\d+)",
    "c32k5same": r"c(?P<maps>\d+)k(?P<side>\d+)(?P<same>same)",
    "r32": r"r(?P<maps>\d+)",
    "r32s2": r"r(?P<maps>\d+)s(?P<stride>\d+)",
    "mp": r"mp",
    "bn": r"bn",
    "do0.3": r"do(?P<share>\d*\.?\d+)",
    "gap": r"gap",
    "fc84": r"fc(?P<units>\d+)",
    "fc84x9": r"fc(?P<units>\d+)x(?P<times>\d+)",
}
"""An example of each word -> its form."""
DEEPEST = 1000
WIDEST = 65_536


def written(task: Task, line: str, activation: MakeActivation, norm: MakeNorm) -> nn.Sequential:
    """The layers of the words in their order, then a linear head. ValueError names the word that is wrong, and why.

    `c32k5`: convolution of 32 maps, 5x5, and the activation; `same`: its padding keeps the size. `r32s2`: residual block of
    two 3x3 convolutions, stride 2. `mp`: 2x2 max pooling. `bn`: the norm. `do0.3`: dropout. `gap`: mean over the map.
    `fc84x9`: nine linear layers of 84 units, each with the activation.
    """
    net = _Written(activation, norm, task.channels, (task.height, task.width))
    for place, word in enumerate(line.split(), 1):
        kind, found = _read(word)
        try:
            getattr(net, f"add_{kind}")(place, found)
        except ValueError as error:
            raise ValueError(f"layers: {word} (word {place}) {error}") from None
        if len(net.layers) > DEEPEST:
            raise ValueError(f"layers: more than {DEEPEST} layers")
    return net.finished(task.classes)


def _read(word: str) -> tuple[str, dict[str, str]]:
    """The kind of a word and its numbers. ValueError with the nearest legal word."""
    for form in WORDS.values():
        if found := re.fullmatch(form, word):
            return re.match("[a-z]+", word)[0], {key: text for key, text in found.groupdict().items() if text}  # type: ignore[index]
    raise ValueError(f"layers: {word[:40]!r} is no layer{_hint(word[:40])}; the words are {', '.join(WORDS)}")


def _hint(word: str) -> str:
    """The legal word of the nearest shape, with the numbers that were written."""
    number = r"\d*\.?\d+"
    shapes = {re.sub(number, "#", example): example for example in WORDS}
    near = get_close_matches(re.sub(number, "#", word.lower()), shapes, n=1, cutoff=0.5)
    if not near:
        return ""
    said = iter(re.findall(number, word))
    meant = re.sub(number, lambda example: next(said, example[0]), shapes[near[0]])
    return f"; did you mean {meant if meant != word else shapes[near[0]]}?"


@dataclass
class _Written:
    """A network under construction: what it has, and the shape that leaves its last layer."""

    activation: MakeActivation
    norm: MakeNorm
    width: int
    """Channels of the map, or entries of the vector."""
    size: tuple[int, int] | None
    """Height and width of the map; None once it is a vector."""
    layers: dict[str, nn.Module] = field(default_factory=dict)

    def add_c(self, place: int, said: dict[str, str]) -> None:
        maps, side = _within(said["maps"], WIDEST), _within(said["side"], 64)
        if "same" in said and side % 2 == 0:
            raise ValueError("cannot keep the size: same needs an odd side")
        around = side // 2 if "same" in said else 0
        height, width = (each + 2 * around - side + 1 for each in self._map())
        if min(height, width) < 1:
            raise ValueError(f"does not fit: {self._shape()} reaches it; add same, or pool less")
        self.layers[f"conv{place}"] = nn.Conv2d(self.width, maps, side, padding=around)
        self.layers[f"conv{place}_act"] = self.activation()
        self.width, self.size = maps, (height, width)

    def add_r(self, place: int, said: dict[str, str]) -> None:
        maps, stride = _within(said["maps"], WIDEST), _within(said.get("stride", "1"), 4)
        height, width = (-(-each // stride) for each in self._map())
        block, self.width = residual(self.width, maps, stride, Plan((1,), maps), self.activation, self.norm)
        self.layers[f"block{place}"] = block
        self.size = (height, width)

    def add_mp(self, place: int, said: dict[str, str]) -> None:
        height, width = (each // 2 for each in self._map())
        if min(height, width) < 1:
            raise ValueError(f"cannot halve {self._shape()}")
        self.layers[f"pool{place}"] = nn.MaxPool2d(2)
        self.size = (height, width)

    def add_bn(self, place: int, said: dict[str, str]) -> None:
        self.layers[f"norm{place}"] = self.norm(self.width, spatial=self.size is not None)

    def add_do(self, place: int, said: dict[str, str]) -> None:
        share = float(said["share"])
        if share >= 1:
            raise ValueError("drops everything; the share must be below 1")
        self.layers[f"drop{place}"] = nn.Dropout(share)

    def add_gap(self, place: int, said: dict[str, str]) -> None:
        self._map()
        self.layers |= {f"mean{place}": nn.AdaptiveAvgPool2d(1), f"flatten{place}": nn.Flatten()}
        self.size = None

    def add_fc(self, place: int, said: dict[str, str]) -> None:
        units, times = _within(said["units"], WIDEST), _within(said.get("times", "1"), DEEPEST)
        self._flat()
        for number in range(1, times + 1):
            name = f"fc{place}" if times == 1 else f"fc{place}_{number}"
            self.layers |= {name: nn.Linear(self.width, units), f"{name}_act": self.activation()}
            self.width = units

    def finished(self, classes: int) -> nn.Sequential:
        self._flat()
        return sequence({**self.layers, "head": nn.Linear(self.width, classes)})

    def _map(self) -> tuple[int, int]:
        if self.size is None:
            raise ValueError("needs a map, and the layers before it have made a vector; move it before gap and fc")
        return self.size

    def _flat(self) -> None:
        if self.size is not None:
            self.width *= self.size[0] * self.size[1]
            self.layers["flatten"] = nn.Flatten()
            self.size = None

    def _shape(self) -> str:
        height, width = self._map()
        return f"a map of {height}x{width}"


def _within(text: str, most: int) -> int:
    number = int(text[:9])
    if not 1 <= number <= most:
        raise ValueError(f"has {text[:9]} where a number from 1 to {most:,} is meant")
    return number
