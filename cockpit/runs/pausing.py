"""What the log says of a pause that nobody asked for by hand, and the command that ends it."""

import re

from cockpit.runs.directory import RunDir, runs_root
from cockpit.runs.history import History

UNTIL = re.compile(" until `cockpit continue [^`]*`")


def goes_on(run: RunDir) -> str:
    """The command that continues a paused run, from any terminal."""
    return f"`cockpit continue {run.id if run.path.parent == runs_root().absolute() else run.path}`"


def until(run: RunDir) -> str:
    """The half sentence that the note of a pause holds."""
    return f" until {goes_on(run)}"


def why_paused(history: History) -> str:
    """Why the run pauses by itself at its last step; empty where the user paused it."""
    said = [UNTIL.subn("", note.text) for note in history.notes if note.step >= history.step]
    return next((text for text, pauses in reversed(said) if pauses or text.startswith("paused by")), "")
