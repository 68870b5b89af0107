"""Downloads by torchvision, made to fail within seconds where there is no network."""

import http.client
import queue
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cockpit.datasets.base import Places

PATIENCE = 5.0
"""Seconds that a server has to answer at all."""
STALL = 15.0
"""Seconds without a byte after which a transfer is given up."""


def fetch(title: str, urls: Iterable[str], transfer: Callable[[], object], places: Places) -> str:
    """Run torchvision's `transfer` if any server answers. Returns "" when it is done, else why not, as one clause."""
    if not places.download:
        return "downloads are switched off"
    if not answers(urls):
        return "no server answered; is there a network?"
    places.say(f"downloading {title} to {places.root}")
    try:
        with _stall_limit():
            transfer()
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        return f"the download failed: {' '.join(str(error).split())}"
    return ""


def answers(urls: Iterable[str]) -> bool:
    """Whether any of the servers answers in time. In threads, because no timeout bounds the look-up of a name."""
    found: queue.SimpleQueue[bool] = queue.SimpleQueue()
    asked = [threading.Thread(target=lambda url=url: found.put(_answers(url)), daemon=True) for url in urls]
    for thread in asked:
        thread.start()
    try:
        return any(found.get(timeout=PATIENCE) for _ in asked)
    except queue.Empty:
        return False


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, http.client.HTTPException):
        return False
    return True


@contextmanager
def _stall_limit() -> Iterator[None]:
    """torchvision opens its connections without a timeout; the process-wide default is the only way to set one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
