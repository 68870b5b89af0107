"""Tells people elsewhere of a run, through apprise. It may fail in any way without the run noticing: it reads the log of events
as any viewer does, and sends from a thread of its own, that nobody waits for."""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from cockpit.launch import recipe_left
from cockpit.recipe import Notify, RecipeError
from cockpit.recipe.notify import messenger, scheme_of
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.log import LineReader, complain
from cockpit.runs.notices import Crier, Notice, one_line

if TYPE_CHECKING:
    from apprise import NotifyType

LOOK, GAP, LAST = 1.0, 30.0, 15.0
"""Seconds between two looks at the log; between two messages, what comes in between goes into one; and that the process waits
for the last message once the run has ended."""
LINES = 20
"""Notices that wait to be sent; older ones give way."""


class Notifier:
    """Make one before the training thread starts, call `tick` at every turn, `close` at the end: none of them ever waits."""

    def __init__(self, run: RunDir) -> None:
        self._run, self._lines, self._crier = run, LineReader(run.events), Crier()
        self._waiting: deque[Notice] = deque(maxlen=LINES)
        self._more, self._over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._looked = 0.0
        self._complained = False
        self._who, self._changed = Notify(), True
        self._needed = self._named()
        for event in self._read():
            self._crier.hear(event)
            self._needed |= _turns(event)

    def tick(self) -> None:
        """Look for news, once a second."""
        if time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            self._look()

    def close(self) -> None:
        """The run has ended. What waits is sent before the process ends, which waits for that a quarter of a minute at most."""
        self._look()
        self._over.set()
        self._more.set()
        if self._thread:
            atexit.register(self.wait)

    def wait(self, seconds: float = LAST) -> None:
        """Until all is sent, or so long; a second Ctrl-C ends it."""
        if self._thread:
            with suppress(KeyboardInterrupt):
                self._thread.join(seconds)

    def _look(self) -> None:
        for event in self._read():
            if _turns(event):
                self._needed = self._changed = True
            notice = self._crier.hear(event)
            if notice and self._needed:
                self._waiting.append(notice)
        if self._waiting:
            # Reading the recipe and the library takes seconds: that is the thread's work too, and done when there is news.
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
                self._thread.start()
            self._more.set()

    def _read(self) -> Iterator[ev.Event]:
        for line in self._lines.read():
            with suppress(ValueError, TypeError):
                event = ev.decode(line)
                if event:
                    yield event

    def _named(self) -> bool:
        """Whether the recipe speaks of notices at all: decoding it takes time, and few do."""
        with suppress(OSError):
            return b"notify" in self._run.recipe.read_bytes()
        return False

    def _recipients(self) -> Notify:
        """Whom the recipe names now."""
        try:
            return recipe_left(self._run).notify
        except (RecipeError, OSError):
            return Notify()  # the training thread says what is wrong with it

    def _work(self) -> None:
        """The thread: one message at a time, with a gap in which notices gather; at the end of the run, at once."""
        while True:
            self._more.wait()
            self._more.clear()
            over = self._over.is_set()  # asked first: what is waiting then is all there will be
            if self._changed:
                self._changed = False
                self._who = self._recipients()
            heard = [self._waiting.popleft() for _ in range(len(self._waiting))]
            notices = [notice for notice in heard if _wanted(notice, self._who)]
            if notices:
                self._send(notices)
            if over:
                return
            if notices:
                self._over.wait(GAP)

    def _send(self, notices: list[Notice]) -> None:
        title = one_line(f"cockpit: {self._run.name} ({self._run.id})")
        body = "\n".join(notice.text for notice in notices)
        for url in self._who.urls:
            try:
                to = messenger(url)
                if not to.notify(body=body, title=title, notify_type=_tone(notices)):
                    self._complain(f"{scheme_of(url)} did not take a notice")
            except ImportError:
                self._complain("notices need pip install 'training-cockpit[notify]'")
            except ValueError as error:
                self._complain(str(error))
            except Exception as error:  # whatever a service's code does, the run goes on
                self._complain(f"{scheme_of(url)} did not take a notice ({type(error).__name__})")

    def _complain(self, what: str) -> None:
        """Once, as an event of the run. One write at the end of a file that only grows: the training writes there too."""
        if self._complained:
            return
        self._complained = True
        note = ev.Noted(t=time.time(), level="warning", text=f"notify: {what}; the run goes on, and no more is said of this")
        try:
            file = os.open(self._run.events, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(file, ev.encode(note).encode() + b"\n")
            finally:
                os.close(file)
        except OSError as error:
            complain(f"{note.text} ({error.strerror})")


def _turns(event: ev.Event) -> bool:
    """Whether an event says that somebody else is to be told, or of something else."""
    return isinstance(event, ev.Edited) and event.live and event.path.partition(".")[0] == "notify"


def _wanted(notice: Notice, who: Notify) -> bool:
    return bool(who.urls) and (notice.kind in who.on or (notice.kind == "critical" and "warning" in who.on))


def _tone(notices: list[Notice]) -> "NotifyType":
    """What apprise colours a message by."""
    from apprise import NotifyType

    if any(notice.bad for notice in notices):
        return NotifyType.FAILURE
    if any(notice.kind != "ended" for notice in notices):
        return NotifyType.WARNING
    return NotifyType.SUCCESS if notices[-1].state == "finished" else NotifyType.INFO
