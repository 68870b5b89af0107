"""The processes that torchrun starts for one run: the first is its host, the others follow it.

`python -m cockpit.host.crew RUN_DIRECTORY [--resume]` is what a background run of several processes is made of.

Torchrun starts all of them again where one dies (`--max-restarts`); then the first takes up the run that it had begun, and the
others learn of it from the first. Needs no torch to tell who is who.
"""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cockpit.engine.distributed_place import place
from cockpit.recipe import dump, load
from cockpit.runs.directory import RunDir, RunError, list_runs
from cockpit.runs.history import RunReader
from cockpit.runs.launch_facts import launch_facts, say_facts
from cockpit.runs.owner import own

AGAIN = ("new", "running", "starting", "lost", "interrupted", "failed")
"""States from which a run goes on, where torchrun starts its processes again."""


def several() -> bool:
    """Whether this process is one of several."""
    return place().size > 1


def follows() -> bool:
    """Whether it is not the first of them."""
    return place().rank > 0


def launch_key() -> str:
    """What names this call of torchrun, through all restarts; empty where torchrun has no part in it."""
    run_id = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if run_id in ("", "none"):  # torchrun's default says nothing: the process that restarts this one does
        return f"{socket.gethostname()}:{os.getppid()}" if run_id else ""
    return run_id


def restarted() -> bool:
    """Whether torchrun has started these processes before."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def remember(run: RunDir) -> None:
    """Write into the run by which call of torchrun it was begun. OSError where it cannot be written."""
    if launch_key():
        say_facts(run, torchrun=launch_key())


def begun(root: Path, recipe: str, edits: Sequence[str]) -> RunDir | None:
    """The unfinished run of the same recipe that this call of torchrun has begun already. Raises RecipeError."""
    key = launch_key()
    if not key:
        return None
    try:
        found = [run for run in list_runs(root) if launch_facts(run).get("torchrun") == key]
    except RunError:
        return None
    for run in found[:1]:
        own(run, "resume")
        reader = RunReader(run)
        reader.poll()
        if reader.state in AGAIN and run.recipe.read_text(encoding="utf-8") == dump(load(recipe, edits)):
            return run
    return None


def follow() -> NoReturn:
    """Be one of the others, until the first has ended; leaves the process, with 0 if it ended well."""
    from cockpit.engine.distributed import PeerLostError
    from cockpit.engine.distributed_follow import follow as train

    try:
        train(_deafen)
    except PeerLostError as error:
        _gone(str(error))
    except Exception as error:
        from cockpit.host.flight import expected

        if not (why := expected(error)):
            traceback.print_exc()
        _gone(why or "it failed")
    sys.stdout.flush()
    os._exit(0)  # nothing is left to do, and torch's threads do not always survive the end of the interpreter


def _deafen() -> None:
    """Signals are the first process's to obey; it ends all at one step."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _gone(why: str) -> NoReturn:
    """Leave at once: an exchange on a GPU that nobody answers would keep the process for ever."""
    print(f"cockpit: process {place().rank} ends: {why}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)


def part(ended_well: bool) -> None:
    """In the first process, at its end: let the others go; where it failed, they see it go."""
    if several() and ended_well:
        from cockpit.engine.distributed import dismiss

        dismiss()


def main() -> int:
    """Be one of the processes that own a run in the background, and the runs it goes on in; 0 unless it failed."""
    if follows():
        follow()
    from cockpit.host.host import Host

    onward, end = [RunDir(Path(sys.argv[1]))], None
    resume = "--resume" in sys.argv[2:] or restarted()
    try:
        while onward:
            host = Host(onward.pop(), resume=resume, say=lambda text: print(text, flush=True), onward=onward.append)
            host.catch_signals()
            end, resume = host.run(), False
    except RunError as error:
        print(f"cockpit: {error}", file=sys.stderr)
        return 2
    well = end is not None and end.state != "failed"
    part(well)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
