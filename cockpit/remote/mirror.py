"""The near end: a run directory of this machine that holds what a feed sends. Nothing in it is trusted to be what it says."""

import json
import os
import re
import secrets
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import platformdirs

from cockpit.remote.files import GROWING, WHOLE, unshuffled
from cockpit.remote.held import Held
from cockpit.remote.wire import Frame, WireError
from cockpit.runs.directory import RunDir
from cockpit.runs.private import opener
from cockpit.runs.state import State

OLD = 30 * 86400.0
"""Seconds after which a mirror of another machine in the same cache folder is removed."""
WIDEST = 1024
"""Bytes of a row."""


class Mirror:
    """Takes the frames that tell of a run into a folder of its own, which `remove` deletes."""

    def __init__(self, root: Path | None = None) -> None:
        root = root or platformdirs.user_cache_path("cockpit") / "mirrors"
        _tidy(root)
        self._folder = root / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder.mkdir(mode=0o700, parents=True)
        self.run: RunDir | None = None
        self.there = ""
        """The run directory on the far side."""
        self._held: dict[str, Held] = {}
        self._before: dict[str, int] = {}
        """Bytes of the mirror's file that stand for the first `base` of the far one."""
        self._pulse: tuple[State, int] = ("new", 0)

    def have(self) -> dict[str, Any]:
        """What the mirror holds, for the feed."""
        return {path: asdict(held) for path, held in self._held.items()}

    def take(self, frame: Frame) -> None:
        """Take a frame in. Raises WireError where it is none that a feed sends, OSError where it cannot be written."""
        try:
            match frame.kind:
                case "hello":
                    self._greet(frame.said)
                case "whole":
                    self._whole(frame.said, frame.body)
                case "piece":
                    self._piece(frame.said, frame.body)
                case "cut":
                    self._cut(frame.said)
                case "pulse":
                    self._pulse = _state(frame.said["state"]), _number(frame.said["step"])
                    self.beat()
                case _:
                    raise ValueError(f"unknown frame {frame.kind[:20]!r}")
        except (ValueError, KeyError, TypeError) as error:
            raise WireError("it sent something that no feed sends") from error

    def _greet(self, said: dict[str, Any]) -> None:
        folder, name = str(said["folder"])[:4096], re.sub(r"[^A-Za-z0-9._-]+", "_", str(said["run"]))[:200].lstrip(".")
        if self.run:  # a new connection
            return
        self.there = folder
        self.run = RunDir(self._folder / (name or "run"))
        for path in (self.run.path, self.run.path / "metrics", self.run.mailbox):
            path.mkdir(mode=0o700)

    def _path(self, name: Any, kinds: dict[str, int]) -> Path:
        if self.run is None or name not in kinds:
            raise ValueError("no file that a feed sends")
        return self.run.path / str(name)

    def _whole(self, said: dict[str, Any], body: bytes) -> None:
        name = said["path"]
        path = self._path(name, WHOLE | GROWING)
        stands, crc, skip = (_number(said[key]) for key in ("stands", "crc", "skip"))
        data = body[:skip] + unshuffled(body[skip:], _width(said)) if body[skip:] else body
        if len(data) > WHOLE.get(name, len(data)):
            raise ValueError("larger than that file ever is")
        _replace(path, data)
        self._held[name], self._before[name] = Held(stands, crc, stands), len(data)

    def _piece(self, said: dict[str, Any], body: bytes) -> None:
        name = said["path"]
        path, held = self._path(name, GROWING), self._held.setdefault(name, Held())
        data = unshuffled(body, _width(said))
        if said["at"] != held.size or held.size + len(data) > GROWING[name]:
            raise ValueError("not what follows")
        before = self._length(name)
        with open(path, "ab", opener=opener) as file:
            file.truncate(before)  # what a full disk left of the last one
            file.write(data)
        held.add(data)

    def _cut(self, said: dict[str, Any]) -> None:
        name = said["path"]
        path, held = self._path(name, GROWING), self._held[name]
        held.cut(_number(said["to"]))
        # A new file: the screen holds a map of the old one.
        part = path.with_suffix(".part")
        shutil.copyfile(path, part)
        os.truncate(part, self._length(name))
        os.replace(part, path)

    def _length(self, name: str) -> int:
        """Of the mirror's file."""
        held = self._held[name]
        return self._before.get(name, 0) + held.size - held.base

    def beat(self) -> None:
        """Say for the host what was last known of it, so that a broken connection is not taken for a dead run."""
        if self.run is None:
            return
        state, step = self._pulse
        if state in ("new", "lost"):  # there is no heartbeat, or none that counts: the age of the recipe tells which
            self.run.heartbeat.unlink(missing_ok=True)
            born = time.time() if state == "new" else 0
            with suppress(FileNotFoundError):
                os.utime(self.run.recipe, (born, born))
            return
        there = f"cockpit feed {self.there}"  # never the name of this machine: its process ids mean nothing there
        pulse = {"pid": 1, "born": 0.0, "host": there, "machine": there, "time": time.time(), "state": state, "step": step}
        _replace(self.run.heartbeat, json.dumps(pulse).encode())

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _tidy(root: Path) -> None:
    """Remove what screens that were killed left behind."""
    import psutil

    for folder in root.glob("*-*-*"):
        host, pid, _ = folder.name.rsplit("-", 2)
        here = host == socket.gethostname()
        with suppress(OSError):
            if (here and pid.isdecimal() and not psutil.pid_exists(int(pid))) or time.time() - folder.stat().st_mtime > OLD:
                shutil.rmtree(folder, ignore_errors=True)


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)


def _number(raw: Any) -> int:
    if type(raw) is not int or not 0 <= raw < 1 << 62:
        raise ValueError("a whole number is expected")
    return raw


def _width(said: dict[str, Any]) -> int:
    width = _number(said["width"])
    if not 1 <= width <= WIDEST:
        raise ValueError("no row is so wide")
    return width


def _state(raw: Any) -> State:
    if raw not in get_args(State):
        raise ValueError("no state of a run")
    return raw  # type: ignore[no-any-return]
