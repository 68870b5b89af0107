"""`cockpit` and `python -m cockpit`."""

import os
import sys


def main() -> None:
    """Straight to the screen where nothing else is asked for: reading a command line costs a tenth of a second."""
    words = sys.argv[1:]
    if "RANK" in os.environ:  # torchrun's; set for one process, too
        _among_several(words)
    plain = not any(word.startswith("-") for word in words)
    if plain and (not words or (words[0] == "attach" and len(words) <= 2)) and _open(words[1:]):
        return
    from cockpit.cli import main as command

    command()


def _among_several(words: list[str]) -> None:
    """The first of several processes goes on, as if it were alone; any other follows it."""
    from cockpit.host.crew import follow, follows, several

    if several() and words[:1] not in (["train"], ["resume"]):
        if not follows():
            print("cockpit: torchrun may start `train` and `resume`; all else is for one process", file=sys.stderr)
        sys.exit(2)
    if follows():
        follow()


def _open(wanted: list[str]) -> bool:
    """Open the launch screen, or the screen of a run; False where the command line must say what is wrong."""
    from cockpit.runs.directory import RunError, find, runs_root

    try:
        run = find(runs_root(), *wanted) if sys.argv[1:] else None
    except (RunError, OSError):
        return False
    from cockpit.ui.app import CockpitApp

    CockpitApp(runs=runs_root(), run=run).run()
    return True


if __name__ == "__main__":
    main()
