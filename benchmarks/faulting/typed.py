"""Commands as a user would type them, in this process."""

import io
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple


class Done(NamedTuple):
    """How a command left."""

    code: int
    out: str
    err: str


def typed(*words: str) -> Done:
    """`cockpit WORDS`; an exception that the command lets pass is raised."""
    from cockpit.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    held = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    arguments, code = sys.argv, 0
    sys.argv = ["cockpit", *words]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.argv = arguments
        for number, handler in held.items():
            signal.signal(number, handler)
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]
