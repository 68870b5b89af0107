"""What every command shares: the application object, options, and how faults become sentences."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import typer

from cockpit.datasets.words import printable

T = TypeVar("T")

app = typer.Typer(
    name="cockpit",
    help="A terminal cockpit for training neural networks. `cockpit` alone opens it; `cockpit PRESET` opens it on a recipe.",
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeArg = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file or the name of a preset.")]
RunArg = Annotated[str | None, typer.Argument(metavar="RUN", help="A run's folder, id, or unique prefix; default: the newest.")]
RunsOpt = Annotated[
    Path | None, typer.Option("--runs", help="Where runs are kept (default: COCKPIT_RUNS, or your data folder).")
]
SetOpt = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: --set optimizer.lr=0.1")
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
NameOpt = Annotated[str | None, typer.Option("--name", help="The run's name (default: the recipe's).")]
CodeOpt = Annotated[bool, typer.Option("--allow-code", help="Allow the recipe to run Python code of its own.")]


LONGEST = 4000
"""Characters of a line on the terminal; --json has all of it."""
UsageError: Any = typer.BadParameter.__bases__[0]
"""The parser's own; typer has moved it between packages."""


class BadInputError(Exception):
    """Something the user said or asked for that cannot be; the text is one sentence. Exit code 2."""


def _version(wanted: bool) -> None:
    if wanted:
        print(version("training-cockpit"))
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """A terminal cockpit for training neural networks."""


@contextmanager
def words() -> Iterator[None]:
    """Turn the faults that a user can make into sentences on standard error and exit code 2."""
    from cockpit.recipe import RecipeError
    from cockpit.runs.directory import RunError

    try:
        yield
    except (BadInputError, RunError, RecipeError) as error:
        fail(str(error))
    except UsageError as error:
        fail(f"{error.format_message().rstrip('.')}; `{' '.join(sys.argv[:2])} --help` shows the usage")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
    except MemoryError as error:
        fail(f"this machine has not enough memory: {error}")
    except Exception:  # a fault of ours, as Python tells of it, but printable: what an error says may come from a file
        fail(traceback.format_exc(), code=1)


def guarded(work: Callable[[], T]) -> T:
    """The result of some work of the engine, its known faults as bad input."""
    try:
        return work()
    except Exception as error:
        from cockpit.host.flight import expected

        sentence = expected(error)
        if not sentence:
            raise
        raise BadInputError(sentence) from error


def fail(sentences: str, code: int = 2) -> None:
    """Say what is wrong and leave."""
    for sentence in sentences.splitlines():
        say(sentence, sys.stderr)
    sys.exit(code)


def say(line: str = "", stream: TextIO | None = None) -> None:
    """Print one line. What came from files or user code must not drive the terminal, so only printable characters pass."""
    _write(shown(line), stream or sys.stdout)


def shown(text: str) -> str:
    """A text as a terminal may get it: on one line, printable, and not without end."""
    return printable(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")


def show_json(value: Any) -> None:
    """Print one JSON object, in ASCII: any terminal and any parser takes it."""
    _write(json.dumps(value, indent=1, allow_nan=False).replace("\x7f", "\\u007f"), sys.stdout)


@contextmanager
def only_json(wanted: bool) -> Iterator[None]:
    """With --json, what a user's network prints goes to standard error: standard output holds the object alone."""
    with redirect_stdout(sys.stderr) if wanted else nullcontext():
        yield


def _write(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        silence(stream)
        if isinstance(error, BrokenPipeError):  # the reader left, as `head` does; that is no fault
            sys.exit(0)
        raise BadInputError(f"the output cannot be written: {error.strerror}") from error


def silence(stream: TextIO) -> None:
    """Send what is left in a stream that cannot be written nowhere, so that Python does not trip over it at the end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
