"""What every command shares: the application object, options, and how faults become sentences."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

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
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left; that is no fault
        sys.exit(0)


def fail(sentence: str, code: int = 2) -> None:
    """Say what is wrong and leave."""
    print(sentence, file=sys.stderr)
    sys.exit(code)


def show_json(value: Any) -> None:
    """Print one JSON object."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
