"""The rows of the launch screen: presets with what they are for, runs with what became of them."""

from dataclasses import dataclass

from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader
from cockpit.ui.format import epochs, percent
from cockpit.ui.model.words import STATES, Word, clean


@dataclass(frozen=True)
class RunRow:
    """One run of the past or the present."""

    run: RunDir
    name: str
    state: Word
    progress: str
    best: str
    age: str
    flags: int


def run_row(run: RunDir, now: float) -> RunRow:
    """Read a run's directory for one line."""
    reader = RunReader(run)
    reader.poll()
    history = reader.history
    begun = history.launched.t if history.launched else run.recipe.stat().st_mtime
    planned = history.started.epochs if history.started else 0
    return RunRow(
        run=run,
        name=clean(run.name),
        state=STATES[reader.state],
        progress=f"epoch {epochs(history.epoch)}/{planned}" if planned else "",
        best=percent(history.best.val_accuracy, 1) if history.best else "",
        age=ago(now - begun),
        flags=len(history.active),
    )


def ago(seconds: float) -> str:
    """Rounded down to the largest unit that fits."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def matches(words: str, *texts: str) -> bool:
    """Whether every word of a filter is found."""
    hay = " ".join(texts).lower()
    return all(word in hay for word in words.lower().split())
