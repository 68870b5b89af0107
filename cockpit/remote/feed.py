"""The far end: streams a run directory over standard output as it grows, and puts commands into its mailbox."""

import queue
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cockpit.remote.files import LOG, WHOLE, Lines, Table, shuffled, small, sources
from cockpit.remote.held import Held
from cockpit.remote.wire import MOST, VERSION, Frame, Unpacker, WireError, packed
from cockpit.runs.directory import RunDir
from cockpit.runs.mailbox import MAX_BYTES, VERBS, Command, send
from cockpit.runs.state import LIVE, read_heartbeat, state_of
from cockpit.runs.tables import HEAD

GREETING = f"cockpit-feed {VERSION}\n".encode()
PACE, HURRY = 0.5, 0.1
"""Seconds between two looks; soon after a command."""
PATIENCE = 60.0
"""Seconds without a word from the mirror, which speaks every few: the connection is dead."""
PIECE = MOST // 4
PLAIN = re.compile(r"[A-Za-z0-9_-]{1,32}")
CUTS = re.compile(rb'"kind": "(?:launched|resumed)"')
"""Events after which tables may have been cut."""


class Feed:
    """Serves one connection. `write` raises OSError once nobody listens."""

    def __init__(self, run: RunDir, write: Callable[[bytes], object], *, read_only: bool) -> None:
        self._run, self._write, self._read_only = run, write, read_only
        self._pack = zlib.compressobj(6)
        self._sources = sources(run)
        self._held: dict[str, Held] = {}
        self._doubt = False
        self._hurry = 0

    def serve(self, inlet: Callable[[int], bytes]) -> None:
        """Until the mirror is gone, or the run directory is. `inlet` reads up to so many bytes, none at the end."""
        self._write(GREETING)
        self._send("hello", run=self._run.path.name, folder=str(self._run.path), host=socket.gethostname())
        self._flush()
        heard: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(inlet, heard), daemon=True).start()
        told, word = False, time.monotonic()
        while time.monotonic() - word < PATIENCE and self._run.path.is_dir():
            try:
                frame = heard.get(timeout=HURRY if self._hurry else PACE)
            except queue.Empty:
                frame = Frame("")
            if frame is None:
                return
            if frame.kind:
                word = time.monotonic()
                told = self._hear(frame) or told
            if told:  # what the mirror holds
                self._look()
        if not self._run.path.is_dir():
            self._send("refused", why=f"the run directory {self._run.path} was removed")
            self._flush()

    def _send(self, kind: str, body: bytes = b"", **said: Any) -> None:
        self._write(self._pack.compress(packed(kind, body, **said)))

    def _flush(self) -> None:
        self._write(self._pack.flush(zlib.Z_SYNC_FLUSH))

    def _hear(self, frame: Frame) -> bool:
        """Take a frame in; whether it says what the mirror holds."""
        if frame.kind == "command":
            self._send("took", id=str(frame.said.get("id"))[:32], why=self._command(frame.said))
            self._hurry = 15
        if frame.kind != "have":
            return False
        for path, raw in frame.said["files"].items():
            if path in WHOLE or path in self._sources:
                with suppress(ValueError, KeyError, TypeError):
                    self._held[path] = Held.told(raw)
        return True

    def _command(self, said: dict[str, Any]) -> str:
        """Put a command into the mailbox; why not, where it is none that may be sent."""
        verb, args, key = said.get("verb"), said.get("args"), said.get("id")
        if self._read_only:
            return "this feed only shows (--read-only)"
        if verb not in VERBS or not isinstance(key, str) or not PLAIN.fullmatch(key):
            return "the machine of the run knows no such command"
        if not isinstance(args, dict) or not all(isinstance(text, str) for text in args.values()):
            return "its arguments are no texts"
        if len(str(args)) > MAX_BYTES // 4:
            return "its arguments are too long"
        if self._known(key):  # sent once more by a mirror that did not hear of it
            return ""
        try:
            send(self._run.mailbox, Command(verb, dict(args), key))
        except OSError as error:
            return f"it cannot be put into the mailbox: {error.strerror}"
        return ""

    def _known(self, key: str) -> bool:
        log = self._sources[LOG]
        log.look()
        waiting = self._run.mailbox.glob(f"*-{key}.json")
        return any(waiting) or f'"{key}"'.encode() in log.read(max(0, log.size - 65536), log.size)

    def _look(self) -> None:
        """One look at the run: what is new, and a sign of life."""
        self._hurry = max(0, self._hurry - 1)
        state = state_of(self._run)
        for path in WHOLE:
            if path != "host.log" or state not in LIVE:  # the screen reads the log of a run that came to grief
                self._send_whole(path)
        for path, source in self._sources.items():
            source.look()
            self._send_new(path, source)
        self._doubt = False
        pulse = read_heartbeat(self._run.heartbeat)
        self._send("pulse", state=state, step=pulse.step if pulse else 0)
        self._flush()

    def _send_whole(self, path: str) -> None:
        data, held = small(self._run, path), self._held.get(path)
        if (data or held) and (held is None or (held.base, held.crc) != (len(data), zlib.crc32(data))):
            self._held[path] = Held(len(data), zlib.crc32(data), len(data))
            self._send("whole", data, path=path, stands=len(data), crc=zlib.crc32(data), skip=len(data), width=1)

    def _send_new(self, path: str, source: Lines | Table) -> None:
        held = self._held.get(path)
        if held is None:
            held = self._begin(path, source)
        elif self._doubt or source.size < held.size or not held.tail_holds(source.read):
            upto = held.agreed(source.read)
            if upto < 0:
                held = self._begin(path, source)
            elif upto < held.size:
                held.cut(upto)
                self._send("cut", path=path, to=upto)
        while held.size < source.size:
            self._piece(path, source, held)

    def _begin(self, path: str, source: Lines | Table) -> Held:
        """Send a file from its beginning, where a long table has a sketch."""
        stands, data = source.sketch()
        held = Held()
        if stands:
            read = source.read(0, stands)
            held = Held(stands, zlib.crc32(read), stands)
            body = data[:HEAD] + shuffled(data[HEAD:], source.width)
            self._send("whole", body, path=path, stands=stands, crc=held.crc, skip=HEAD, width=source.width)
        elif path in self._held:
            self._send("whole", path=path, stands=0, crc=0, skip=0, width=1)
        self._held[path] = held
        return held

    def _piece(self, path: str, source: Lines | Table, held: Held) -> None:
        width, ahead = source.width, source.ahead(held.size)
        if ahead:  # the head, or what is left of a row that a block's border cuts
            width = 1
        end = held.size + ahead if ahead else min(source.size, held.size + PIECE // width * width)
        data = source.read(held.size, end)
        if path == LOG and CUTS.search(data):
            self._doubt = True
        if len(data) < end - held.size:  # cut since: the next look tells
            source.size = held.size
            return
        self._send("piece", shuffled(data, width), path=path, at=held.size, width=width)
        held.add(data)


def refuse(write: Callable[[bytes], object], why: str) -> None:
    """Say in place of a feed why there is none."""
    write(GREETING + zlib.compress(packed("refused", why=why)))


def _listen(inlet: Callable[[int], bytes], heard: "queue.SimpleQueue[Frame | None]") -> None:
    """In a thread: what the mirror says; None at the end, or where it talks nonsense."""
    unpacker = Unpacker()
    try:
        while data := inlet(65536):
            for frame in unpacker.feed(data):
                if frame.kind == "have" and not isinstance(frame.said.get("files"), dict):
                    raise WireError("a mirror says which files it holds")
                heard.put(frame)
    except (OSError, WireError):
        pass
    heard.put(None)
