"""Commands to a host, as files: written whole, renamed into place, read in order, acknowledged by an event.

Files work on the shared file systems of clusters, where a socket would not. What is in a mailbox is not trusted: `take` reads
plain files of the mailbox's owner only, and nothing in them can end the host.
"""

import errno
import json
import os
import re
import secrets
import stat
import time
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cockpit.runs import events as ev
from cockpit.runs import private
from cockpit.runs.directory import RunDir
from cockpit.runs.owner import stranger

VERBS = ("pause", "continue", "stop", "checkpoint", "edit", "remedy", "rollback", "snooze")
MAX_BYTES = 64 * 1024
PLAIN = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""What an id looks like."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Command:
    """One order. `edit` takes arguments path and value, in the grammar of `--set`."""

    verb: str
    args: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    reason: str = ""
    """Why it is given, for the log. Only the host's own process can say it: no file does."""


class Refused(str):
    """Why a file is no command: one printable sentence. `id` and `verb` as far as the file says them, and both plain words."""

    def __new__(cls, text: str, id: str = "", verb: str = "") -> "Refused":
        """The sentence, and whom it answers."""
        made = super().__new__(cls, text)
        made.id, made.verb = id, verb
        return made

    id: str
    verb: str

    def answer(self, step: int) -> ev.Event:
        """What the log says of it: an answer to whoever sent it, or a note where nobody can be answered."""
        if self.id:
            return ev.Commanded(step=step, id=self.id, verb=self.verb, ok=False, detail=str(self))
        return ev.Noted(step=step, level="warning", text=f"refused: {self}")


def send(mailbox: Path, command: Command) -> Command:
    """Put a command into a mailbox. OSError where the directory cannot be written, or is that of another user's run."""
    if whose := stranger(RunDir(mailbox.parent)):
        raise PermissionError(errno.EPERM, f"the run belongs to {whose} and takes no orders of yours", str(mailbox))
    name = f"{time.time_ns():020d}-{command.id}.json"
    part = mailbox / f".{name}.part"
    with suppress(FileExistsError):
        private.make_folder(mailbox)
    try:
        private.write_text(part, json.dumps({"verb": command.verb, "args": command.args, "id": command.id}))
        os.replace(part, mailbox / name)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
    return command


def take(mailbox: Path) -> list[Command | Refused]:
    """Take every waiting command out of the mailbox, oldest first; a file that is no command comes as words that say why."""
    taken: list[Command | Refused] = []
    try:
        folder = os.open(mailbox, FOLDER)
    except OSError:
        return []
    try:
        owner = os.fstat(folder).st_uid
        for name in sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")):
            found = _read(name, folder, owner)
            if _remove(name, folder):  # what cannot be taken out is not obeyed, or it would be obeyed at every look
                taken.append(found)
    except OSError:  # the mailbox itself is gone; what was taken out of it counts
        return taken
    finally:
        os.close(folder)
    return taken


def _remove(name: str, folder: int) -> bool:
    """Take a file out of the mailbox; what cannot be deleted, such as a directory, is hidden in it."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        try:
            os.rename(name, f".refused-{secrets.token_hex(8)}", src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            return False
    return True


def _read(name: str, folder: int, owner: int) -> Command | Refused:
    where = f"mailbox file {name[:60]!r}"
    try:
        # Looked at before it is opened, for opening a device may set it off; and after, for it may have been exchanged.
        fault = _fault(os.stat(name, dir_fd=folder, follow_symlinks=False), owner)
        if not fault:
            with open(os.open(name, FILE, dir_fd=folder), "rb") as file:
                fault = _fault(os.fstat(file.fileno()), owner)
                raw = None if fault else json.loads(file.read(MAX_BYTES).decode())
    except (OSError, ValueError, RecursionError):
        fault = "is not a command"
    return Refused(f"{where} {fault}") if fault else _command(raw, where)


def _fault(seen: os.stat_result, owner: int) -> str:
    """Why a file is not read, if it is not."""
    if not stat.S_ISREG(seen.st_mode):
        return "is no plain file"
    if seen.st_uid != owner:
        return "belongs to another user than the mailbox"
    return f"is larger than {MAX_BYTES} bytes" if seen.st_size > MAX_BYTES else ""


def _command(raw: Any, where: str) -> Command | Refused:
    if not isinstance(raw, dict):
        return Refused(f"{where} is not a command")
    verb, args, id = raw.get("verb"), raw.get("args"), raw.get("id")
    if not isinstance(id, str) or not PLAIN.fullmatch(id):
        return Refused(f"{where}: its id is not 1 to 32 letters, digits, - or _")
    if not isinstance(verb, str) or verb not in VERBS:
        said = repr(verb[:40]) if isinstance(verb, str) else "that is no word"
        return Refused(f"{where}: unknown command {said}", id)
    if not isinstance(args, dict) or not all(isinstance(value, str) for value in args.values()):
        return Refused(f"{where}: the arguments of {verb} are not all text", id, verb)
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for pair in args.items() for text in pair for char in text):
        return Refused(f"{where}: the arguments of {verb} hold control characters", id, verb)
    return Command(verb, args, id)
