"""`--slurm`: what to ask a batch queue for, through submitit."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from cockpit.cli.base import BadInputError

SlurmOpt = Annotated[bool, typer.Option("--slurm", help="Hand the run to Slurm; the same as --queue slurm.")]
QueueOpt = Annotated[
    str | None,
    typer.Option("--queue", metavar="slurm|local", help="Hand it to a batch queue; local: a stand-in, for trying out."),
]
OptionsOpt = Annotated[
    list[str] | None,
    typer.Option(
        "-o", "--slurm-option", metavar="KEY=VALUE", help="What to ask the queue for: -o partition=gpu -o time=8:00:00."
    ),
]

QUEUES = ("slurm", "local")
SHORT = {
    "gpus": "gpus_per_node",
    "cpus": "cpus_per_task",
    "tasks": "ntasks_per_node",
    "timeout_min": "time",
    "name": "job_name",
}
WHOLE = ("nodes", "ntasks_per_node", "cpus_per_task", "gpus_per_node", "gpus_per_task", "signal_delay_s", "max_num_timeout")
LOCAL = {"time": "timeout_min", "gpus_per_node": "gpus_per_node", "signal_delay_s": "signal_delay_s", "setup": "setup"}
"""What the stand-in understands, and as what."""
MINUTES = 60
"""Asked for where nothing is said: what is left to train then goes on in the same job, handed in again."""
TIMES = 100
"""So often at most; submitit's own 3 would end a long training."""


@dataclass(frozen=True)
class Wish:
    """A queue, and what to ask it for, by submitit's names."""

    queue: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def minutes(self) -> int:
        """The time limit of the job."""
        return int(self.options.get("time", MINUTES))


def wish(slurm: bool, queue: str | None, options: Sequence[str] | None, gpus: int | None = None) -> Wish | None:
    """What the command line asks for; None where it names no queue. Raises BadInputError."""
    name = "slurm" if slurm else queue
    if name is None:
        if options:
            raise BadInputError(f"-o {options[0]} is for a batch queue: say --slurm, too")
        return None
    if name not in QUEUES or (slurm and queue not in (None, "slurm")):
        raise BadInputError(f"--queue: expected slurm or local, got {queue!r}")
    if find_spec("submitit") is None:
        raise BadInputError(f"--{name if slurm else 'queue'} needs submitit: pip install 'training-cockpit[slurm]'")
    if name == "slurm" and shutil.which("sbatch") is None:
        raise BadInputError("--slurm: this machine has no sbatch; a login node of the cluster has")
    found = dict(_option(text, _names(name)) for text in options or ())
    if gpus:  # a process to each
        asked = {"gres", "gpus_per_node", "gpus_per_task"} & found.keys()
        found |= {"ntasks_per_node": gpus, **({} if asked else {"gpus_per_node": gpus})}
    if found.get("ntasks_per_node", 1) * found.get("nodes", 1) > 1 and not gpus:
        raise BadInputError("-o nodes and -o tasks start several processes: say --gpus N, the number on each node, too")
    return Wish(name, found)


def _names(queue: str) -> list[str]:
    """Every option that there is."""
    if queue == "local":
        return [*LOCAL, "max_num_timeout"]
    from submitit import SlurmExecutor

    return [*sorted(SlurmExecutor._valid_parameters() - {"num_gpus", "array_parallelism"}), "max_num_timeout"]


def _option(text: str, names: Sequence[str]) -> tuple[str, Any]:
    from cockpit.recipe.hints import near

    said, equals, value = text.partition("=")
    key = SHORT.get(said.strip().replace("-", "_"), said.strip().replace("-", "_"))
    if not equals or not value:
        raise BadInputError(f"-o {text}: expected KEY=VALUE")
    if key not in names:
        hint = near(key, [*names, *(short for short, name in SHORT.items() if name in names)])
        raise BadInputError(f"-o {said}: the queue has no such option; {hint or 'known: ' + ', '.join(names)}")
    return key, _minutes(value) if key == "time" else _value(key, value)


def _value(key: str, text: str) -> Any:
    import yaml

    if key in WHOLE:
        if not (text.isascii() and text.isdecimal()):
            raise BadInputError(f"-o {key}: expected a whole number, got {text!r}")
        return int(text)
    if text.startswith(("[", "{")) or text in ("true", "false"):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise BadInputError(f"-o {key}: {text!r} is no list or mapping") from error
    return text  # Slurm reads it


def _minutes(text: str) -> int:
    """Slurm's ways to write a time: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]]."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isascii() and part.isdecimal() for part in (*parts, *([days] if dash else ()))) or len(parts) > 3:
        raise BadInputError(f"-o time: expected minutes, H:MM:SS or D-HH:MM, got {text!r}")
    numbers = [int(part) for part in parts]
    hours, minutes, seconds = ((numbers if dash or len(numbers) == 3 else [0, *numbers]) + [0, 0])[:3]
    found = -(-(((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds) // 60)
    if found < 1:
        raise BadInputError(f"-o time: {text!r} is no time at all")
    return found
