"""`ssh://[user@]host[:port]/RUN`, and the ssh command that goes there."""

import os
import re
import shlex
from dataclasses import dataclass, replace

from cockpit.runs.directory import RunError

FORM = re.compile(r"ssh://(?:([^@/:]+)(:[^@/]*)?@)?(\[[0-9A-Fa-f:.%]+\]|[^@/:\[\]]+)(?::(\d{1,5}))?(?:/(.*))?")
WORD = re.compile(r"[^\s\x00-\x1f\x7f'\"`$;&|<>()\\-][^\s\x00-\x1f\x7f'\"`$;&|<>()\\]*")
"""A user or host that neither ssh nor a shell takes for something else."""
OPTIONS = ("-T", "-x", "-a", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none")
AGAIN = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
"""Nobody can be asked once the screen has the terminal."""


@dataclass(frozen=True)
class Address:
    """Where a run is."""

    host: str
    run: str = ""
    """As `cockpit attach` takes it there; the newest where it is empty."""
    user: str = ""
    port: str = ""

    def __str__(self) -> str:
        """What the user types."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{user}{host}{f':{self.port}' if self.port else ''}/{self.run}"

    def at(self, run: str) -> "Address":
        """Another run there."""
        return replace(self, run=run)

    def command(self, words: list[str], remote: str, *, again: bool) -> list[str]:
        """The ssh command that runs `remote` with some words there. COCKPIT_SSH says how ssh is called."""
        ssh = shlex.split(os.environ.get("COCKPIT_SSH", "")) or ["ssh"]
        who = [*(["-l", self.user] if self.user else []), *(["-p", self.port] if self.port else [])]
        there = f"{remote} {shlex.join(words)}"
        return [*ssh, *OPTIONS, *(AGAIN if again else ()), *who, "--", self.host, there]


def parse(text: str) -> Address:
    """An address from what the user typed. Raises RunError."""
    match = FORM.fullmatch(text)
    if match is None:
        raise RunError(f"{text[:200]!r} is no address of a run: ssh://[user@]host[:port]/RUN is expected")
    user, password, host, port, run = match.groups(default="")
    if password:
        raise RunError("an address holds no password: ssh asks for it, or takes a key")
    if port and not 0 < int(port) < 65536:
        raise RunError(f"there is no port {port}")
    host = host.strip("[]")
    for word in (user, host):
        if word and not WORD.fullmatch(word):
            raise RunError(f"{word[:100]!r} in {text[:200]!r} is no name of a user or a host")
    return Address(host, run, user, port)
