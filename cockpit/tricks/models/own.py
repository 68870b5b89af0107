"""The user's own network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cockpit.cards import card, knob
from cockpit.families import Init, Model
from cockpit.travel import Task
from cockpit.tricks.models.start import started

if TYPE_CHECKING:
    from torch import nn


@card(
    "file",
    when="You have a network of your own.",
    beware="Runs the code in the file with your rights: only for files that you have read.",
    source="your own file",
)
class File(Model):
    """A network from your Python file: a function or class that returns a torch.nn.Module.

    It is called with those of these arguments that it accepts: in_channels, num_classes, image_size (height, width),
    activation (a function that makes one) and norm (called with the channels, and spatial=True for maps).
    """

    runs_code: ClassVar[bool] = True

    init: Init = knob("torch_default", help="how the weights start; torch_default leaves them as the file made them")
    path: str = knob(help="the Python file")
    factory: str = knob("build", help="the function or class in it that makes the network")

    def build(self, task: Task) -> nn.Module:
        """ValueError where the file, the factory or a fitting network is missing."""
        from cockpit.nets.from_file import from_file

        return started(from_file(self.path, self.factory, task, self.activation.build, self.norm.build), self)
