"""What a mirror says of its connection: `link.json` in its folder. A run of this machine has none."""

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cockpit.runs.directory import RunDir
from cockpit.runs.private import write_text

SILENCE = 5.0
"""Seconds without a word after which it is said."""
HELD = 20.0
"""Seconds for which a note stands."""


@dataclass(frozen=True)
class Link:
    """The connection to the machine of a run. Times are unix seconds of this machine's clock."""

    address: str
    """What `cockpit attach` takes to come back."""
    host: str
    folder: str = ""
    """The run directory there."""
    up: bool = False
    heard: float = 0.0
    """When the last word came."""
    why: str = ""
    """Why it is down."""
    over: bool = False
    """It is down and not tried again."""
    note: str = ""
    """What became of a command that never arrived."""
    noted: float = 0.0

    def beside(self, run: str) -> str:
        """The address of another run on the same machine."""
        return f"{self.address.rpartition('/')[0]}/{run}"

    def stale(self, now: float) -> bool:
        """Whether what is shown may be old."""
        return not self.up or now - self.heard > SILENCE

    def words(self, now: float) -> str:
        """What is wrong with it, in one line; nothing where all is well."""
        silent = f"{now - self.heard:.0f} s ago"
        seen = f"all this is from {time.strftime('%H:%M:%S', time.localtime(self.heard))}"
        why = f": {self.why}" if self.why else ""
        told = [self.note] if self.note and now - self.noted < HELD else []
        if self.over:
            told.append(f"link to {self.host} lost {silent} for good, {seen}{why}")
        elif not self.up:
            told.append(f"link to {self.host} lost {silent}, {seen}, reconnecting{why}")
        elif self.stale(now):
            told.append(f"no word from {self.host} for {now - self.heard:.0f} s, {seen}")
        return " · ".join(told)


def link_file(run: RunDir) -> Path:
    """Where it is said."""
    return run.path / "link.json"


def say_link(run: RunDir, link: Link) -> None:
    """Write it, whole. OSError where it cannot be written."""
    part = run.path / ".link.part"
    write_text(part, json.dumps(asdict(link)))
    os.replace(part, link_file(run))


def read_link(run: RunDir) -> Link | None:
    """The connection of a mirror; None for a run of this machine."""
    try:
        return replace(Link("", ""), **json.loads(link_file(run).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
