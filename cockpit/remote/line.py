"""The connection of a mirror: ssh in the background, begun anew whenever it breaks."""

import asyncio
import threading
import time
from asyncio.subprocess import PIPE, Process
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cockpit.remote.address import Address
from cockpit.remote.mirror import Mirror
from cockpit.remote.wire import Frame, Inlet, WireError, packed, printable
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.link import Link, say_link
from cockpit.runs.mailbox import Command, take

TURN = 0.1
"""Seconds between two looks into the mirror's mailbox."""
PING = 10.0
SILENCE = 15.0
"""Seconds without a word from the feed, which speaks twice in each: the connection is dead."""
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each new attempt."""
KEPT = 60.0
"""Seconds for which a command that was not acknowledged is sent again: later it would surprise."""
FAREWELL = 3.0
"""Seconds that the last commands are given at the end."""
FINAL = ("Permission denied", "Host key verification failed", "HOST IDENTIFICATION HAS CHANGED")
"""Answers of ssh that another attempt without a user does not change."""


class LineError(Exception):
    """The connection failed; the text is one sentence for the user."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


class Line:
    """Keeps a mirror fed from a thread of its own. `open` waits for the first copy; `close` ends it and removes the mirror."""

    def __init__(
        self,
        address: Address,
        *,
        remote: str = "cockpit",
        runs: Path | None = None,
        read_only: bool = False,
        root: Path | None = None,
    ) -> None:
        """`remote` calls the cockpit there, `runs` is where it keeps its runs, `root` where mirrors go."""
        self._address = address
        options = [*(["--read-only"] if read_only else []), *(["--runs", str(runs)] if runs else [])]
        self._remote, self._options = remote, options
        self._mirror = Mirror(root)
        self._link = Link(str(address), address.host)
        self._wanted = address.run
        self._said = ""
        """The end of what ssh wrote to standard error."""
        self._process: Process | None = None
        self._unheard: dict[str, tuple[float, Command]] = {}
        """Commands that the feed has not acknowledged, and when they were given."""
        self._opened: Future[RunDir] = Future()
        self._closing = threading.Event()
        self._until = 0.0
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)

    def open(self) -> RunDir:
        """The mirror's run directory, once it can be shown. Raises RunError; ssh may ask on the terminal meanwhile."""
        self._thread.start()
        try:
            return self._opened.result()
        except LineError as error:
            self.close()
            raise RunError(str(error)) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Send the last commands, end the connection, remove the mirror."""
        self._closing.set()
        self._thread.join()
        self._mirror.remove()

    def _run(self) -> None:
        """The thread: whoever waits for the first copy hears of whatever ends it."""
        try:
            asyncio.run(self._live())
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)

    async def _live(self) -> None:
        turning = asyncio.create_task(self._turn())
        failed = 0
        while not self._closing.is_set():
            try:
                await self._connect(again=self._opened.done())
            except LineError as error:
                if not self._opened.done():
                    self._opened.set_exception(error)
                    break
                failed = 0 if self._link.up else failed
                why = printable(error).removeprefix(f"cannot reach {self._address.host}: ")
                self._tell(replace(self._link, up=False, why=why, over=error.final))
                if error.final:
                    break
            await self._rest(WAITS[min(failed, len(WAITS) - 1)])
            failed += 1
        while not self._closing.is_set():
            await asyncio.sleep(TURN)
        await turning

    async def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._closing.is_set():
            await asyncio.sleep(TURN)

    async def _connect(self, *, again: bool) -> None:
        """One connection, until it ends. Raises LineError, unless it was closed."""
        words = ["feed", *self._options, "--", *([self._wanted] if self._wanted else [])]
        command = self._address.command(words, self._remote, again=again)
        self._said = ""
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=again
            )
        except OSError as error:
            raise LineError(f"cannot run {command[0]}: {error.strerror}", final=True) from error
        listening = asyncio.create_task(self._overhear(process))
        inlet, fault = Inlet(), ""
        try:
            self._process = process
            self._speak(packed("have", files=self._mirror.have()))
            for _, given in self._unheard.values():
                self._order(given)
            fault = await self._hear(process, inlet)
        finally:
            self._process = None
            with suppress(ProcessLookupError):
                # Gently: at a prompt, ssh has to give the terminal its echo back.
                process.terminate() if fault or self._closing.is_set() else None
            status = await _ended(process)
            with suppress(TimeoutError):  # a shared connection may hold standard error open
                await asyncio.wait_for(listening, 1.0)
        if not self._closing.is_set():
            raise self._fault(fault, status, inlet)

    async def _hear(self, process: Process, inlet: Inlet) -> str:
        """Take frames in until the connection ends; what is wrong with them, where something is."""
        assert process.stdout
        waiting = asyncio.create_task(process.stdout.read(65536))
        word = time.monotonic()
        try:
            while not self._done():
                if not (await asyncio.wait({waiting}, timeout=TURN))[0]:
                    if inlet.version and time.monotonic() - word > SILENCE:
                        return "nothing was heard of it any more"
                    continue
                if not (data := waiting.result()):
                    return ""
                word = time.monotonic()
                waiting = asyncio.create_task(process.stdout.read(65536))
                try:
                    for frame in inlet.feed(data):
                        self._take(frame)
                except WireError as error:
                    return str(error)
                except OSError as error:
                    return f"the mirror cannot be written here: {error.strerror}"
        finally:
            waiting.cancel()
        return ""

    def _take(self, frame: Frame) -> None:
        if frame.kind == "refused":
            raise WireError(printable(frame.said.get("why"))[:1000])
        if frame.kind == "took":
            _, command = self._unheard.pop(str(frame.said.get("id")), (0.0, None))
            if command and frame.said.get("why"):
                self._note(f"{command.verb} was not taken: {frame.said['why']}")
            return
        self._mirror.take(frame)
        if frame.kind == "hello" and self._mirror.there:
            self._wanted = self._mirror.there  # the very same run, should the connection have to be made again
        if frame.kind == "pulse" and self._mirror.run:
            self._heard(self._mirror.run)

    def _heard(self, run: RunDir) -> None:
        again = str(self._address.at(run.id))
        self._tell(replace(self._link, address=again, folder=printable(self._mirror.there), up=True, heard=time.time(), why=""))
        if not self._opened.done():
            self._opened.set_result(run)

    def _tell(self, link: Link) -> None:
        self._link = link
        if self._mirror.run:
            with suppress(OSError):  # a full disk; the next word tries again
                say_link(self._mirror.run, link)

    def _note(self, text: str) -> None:
        self._tell(replace(self._link, note=printable(text)[:300], noted=time.time()))

    async def _turn(self) -> None:
        """Beside the connection: forward commands, and keep the heartbeat of what was last known."""
        turns = 0
        while not self._closing.is_set():
            self._forward()
            if turns % round(1 / TURN) == 0:
                with suppress(OSError):
                    self._mirror.beat()
            if turns % round(PING / TURN) == 0:
                self._speak(packed("ping"))
            turns += 1
            await asyncio.sleep(TURN)

    def _forward(self) -> None:
        """Send on what the screen put into the mirror's mailbox."""
        for command in take(self._mirror.run.mailbox) if self._mirror.run else ():
            if isinstance(command, Command):
                self._unheard[command.id] = time.monotonic(), command
                self._order(command)
        for key, (given, command) in list(self._unheard.items()):
            if time.monotonic() - given > KEPT:
                del self._unheard[key]
                self._note(f"{command.verb} never arrived")

    def _order(self, command: Command) -> None:
        self._speak(packed("command", verb=command.verb, args=command.args, id=command.id))

    def _speak(self, data: bytes) -> None:
        if self._process and self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(data)

    def _done(self) -> bool:
        """Whether the connection may be closed: it is to be, and the last commands arrived or had their time."""
        if not self._closing.is_set():
            return False
        self._forward()
        self._until = self._until or time.monotonic() + FAREWELL
        return not self._unheard or time.monotonic() > self._until

    async def _overhear(self, process: Process) -> None:
        assert process.stderr
        while data := await process.stderr.read(4096):
            self._said = (self._said + data.decode("utf-8", "replace"))[-4096:]

    def _fault(self, fault: str, status: int, inlet: Inlet) -> LineError:
        """Why a connection ended, in one sentence."""
        host = self._address.host
        lines = [printable(line.strip()) for line in self._said.splitlines() if line.strip()]
        last = lines[-1][:300] if lines else ""
        if fault:
            return LineError(f"{host}: {fault}")
        if inlet.version:
            return LineError(last)
        if status == 255:
            return LineError(
                f"cannot reach {host}: {last or 'ssh says no more'}", final=any(word in self._said for word in FINAL)
            )
        if status in (126, 127):
            hint = "install the cockpit there, or say where it is with --remote-command"
            return LineError(f"{host} has no command {printable(self._remote)!r}: {hint}")
        return LineError(f"{host}: {last or f'the command there ended with status {status}'}")


async def _ended(process: Process) -> int:
    """The status of a process that has been told to end, or has ended."""
    if process.stdin:
        process.stdin.close()
    try:
        return await asyncio.wait_for(process.wait(), 2.0)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        return await process.wait()
