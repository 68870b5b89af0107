"""Commands run in this process, as a user would type them: exit code, standard output, standard error."""

import io
import json
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple


class Done(NamedTuple):
    code: int
    out: str
    err: str


def cockpit(*words: str) -> Done:
    """`cockpit WORDS`; what it does to the process's signals and arguments is taken back."""
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


def answer(*words: str) -> Any:
    """The one JSON value on standard output of a command that went well."""
    done = cockpit(*words, "--json")
    assert done.code == 0, done
    return json.loads(done.out)


def refused(*words: str) -> str:
    """The one sentence of a command that was given something wrong."""
    done = cockpit(*words)
    assert done.code == 2 and done.out == "", done
    (sentence,) = done.err.splitlines()
    return sentence
