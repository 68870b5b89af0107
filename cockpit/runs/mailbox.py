"""Commands to a host, as files: written whole, renamed into place, read in order, acknowledged by an event.

Files work on the shared file systems of clusters, where a socket would not.
"""

import dataclasses
import json
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

VERBS = ("pause", "continue", "stop", "checkpoint", "edit", "remedy", "rollback", "snooze")
MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Command:
    """One order. `edit` takes arguments path and value, in the grammar of `--set`."""

    verb: str
    args: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(4))


def send(mailbox: Path, command: Command) -> Command:
    """Put a command into a mailbox. OSError where the directory cannot be written."""
    name = f"{time.time_ns():020d}-{command.id}.json"
    part = mailbox / f".{name}.part"
    mailbox.mkdir(exist_ok=True)
    part.write_text(json.dumps(dataclasses.asdict(command)), encoding="utf-8")
    os.replace(part, mailbox / name)
    return command


def take(mailbox: Path) -> list[Command | str]:
    """Take every waiting command out of the mailbox, oldest first; a file that is no command comes as words that say why."""
    taken: list[Command | str] = []
    try:
        names = sorted(entry.name for entry in os.scandir(mailbox) if not entry.name.startswith("."))
    except OSError:
        return []
    for name in names:
        taken.append(_read(mailbox / name))
        (mailbox / name).unlink(missing_ok=True)
    return taken


def _read(path: Path) -> Command | str:
    try:
        if path.stat().st_size > MAX_BYTES:
            return f"mailbox file {path.name} is larger than {MAX_BYTES} bytes"
        raw = json.loads(path.read_text(encoding="utf-8"))
        command = Command(verb=str(raw["verb"]), args={str(k): str(v) for k, v in raw["args"].items()}, id=str(raw["id"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"mailbox file {path.name} is not a command"
    return command if command.verb in VERBS else f"mailbox file {path.name}: unknown command {command.verb!r}"
