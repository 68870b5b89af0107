"""One recipe and, once started, its run: what the cockpit screen asks, orders and shows. Knows no widget."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cockpit import catalog
from cockpit.launch import new_run
from cockpit.recipe import Recipe, RecipeError, edit, load
from cockpit.recipe.nodes import MAX_BYTES
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.events import Event, Remedy
from cockpit.runs.history import RunReader
from cockpit.runs.link import Link, read_link
from cockpit.runs.log import read_json
from cockpit.runs.mailbox import Command, send
from cockpit.runs.notices import Crier, Notice, lost
from cockpit.runs.owner import own, stranger
from cockpit.runs.state import LIVE
from cockpit.ui.model.findings import findings
from cockpit.ui.model.linked import linked
from cockpit.ui.model.run import Header
from cockpit.ui.model.tricks import TrickRow, rows
from cockpit.ui.model.view import View, draft_view, run_view
from cockpit.ui.model.ways import Way, way_of
from cockpit.ui.model.words import STATES

Edits = Sequence[tuple[str, str]]
"""(path, value), in the grammar of `--set`."""
Refusal = (RecipeError, RunError, OSError)
"""What an order of the user may end in; the text is for the user."""


class Helm:
    """A draft (a recipe and no run yet) or a run that is followed in its directory."""

    def __init__(
        self, *, recipe: Recipe | None = None, name: str = "", run: RunDir | None = None, read_only: bool = False
    ) -> None:
        self.name, self.read_only = name, read_only
        self.now = recipe
        """The recipe that holds."""
        self.later = recipe
        """The same with the edits that wait for the next run."""
        self.reader: RunReader | None = None
        self.news: list[Event] = []
        """What the last poll brought, the first one's past left out."""
        self.notices: list[Notice] = []
        """What happened before the user's eyes and is worth calling them; who tells it takes it away."""
        self._crier = Crier()
        self.view = View("new", Header(name, "", STATES["new"]))
        self._base: Recipe | None = None
        self.watched = False
        """The run is a loop of the user's own: it has no recipe, and its remedies are advice."""
        self._ways: dict[tuple[Remedy, bool, bool], Way] = {}
        self._unread = False
        self.looks = 0
        """Looks at the sealed test set so far."""
        self._key: tuple[Any, ...] = ()
        self._rows: tuple[TrickRow, ...] = ()
        self._edits: list[Any] | None = None
        self.link: Link | None = None
        """The connection to the run's machine, where that is another."""
        if run:
            self._follow(run)

    @property
    def run(self) -> RunDir | None:
        """The run, once there is one."""
        return self.reader.run if self.reader else None

    def _follow(self, run: RunDir) -> None:
        self.name, self.reader, self._key, self._edits = run.name, RunReader(run), (), None
        self._unread, self._crier = True, Crier()

    def _read_recipe(self, reader: RunReader) -> None:
        self._unread = False
        tree = _tree(reader.run)
        self.watched = tree is not None and (not tree or bool(tree.get("watched")))
        reader.history.recipe = tree or {}
        try:
            self._base = None if self.watched else load(str(reader.run.recipe))
        except Refusal:
            # Written by another version: the curves and flags can be shown all the same.
            self._base = None
        self._ways.clear()

    def poll(self) -> bool:
        """Look for news; True where the view changed."""
        return self._poll_draft() if self.reader is None else self._poll_run(self.reader)

    def _poll_draft(self) -> bool:
        assert self.now is not None
        if self._key == (id(self.now),):
            return False
        self._key = (id(self.now),)
        self.view = draft_view(self.name, self.now, rows(self.now, self.now, catalog.toggles()))
        return True

    def _poll_run(self, reader: RunReader) -> bool:
        first = not self._key
        fresh = reader.poll()
        history, state = reader.history, reader.state
        looks = read_json(reader.run.ledger)
        self.looks = len(looks)
        log = _tail(reader.run.log) if state in ("failed", "lost") else []
        sizes = (len(history.steps), len(history.layers), len(history.machine), len(looks))
        if self._unread and not first:
            # Not at the first look: reading every card would hold up the first frame.
            self._read_recipe(reader)
        self.link = read_link(reader.run)
        said = self.link.words(time.time()) if self.link else ""
        key = (state, sizes, tuple(log), history.step, self._unread, said)
        self.news = [] if first else fresh
        self._listen(fresh, state, first)
        if key == self._key and not fresh:
            return False
        self._key = key
        self._read_edits()
        found = findings(history, lambda remedy, refuge: self._way(remedy, state in LIVE, refuge))
        self.view = run_view(reader.run, state, history, self.now, self._rows, looks, log, found, self.watched)
        if self.link:
            self.view = linked(self.view, self.link, time.time())
        return True

    def _listen(self, fresh: list[Event], state: str, first: bool) -> None:
        """Keep what is worth a notice. The past is heard as well, since it says which findings are put aside."""
        heard = [notice for event in fresh if (notice := self._crier.hear(event))]
        gone = [lost()] if state == "lost" and self.view.state in LIVE else []
        self.notices += [] if first else heard + gone

    def _way(self, remedy: Remedy, live: bool, refuge: bool) -> Way:
        """How a remedy would be applied now; finding out takes reading the recipe anew, so it is done once."""
        if self._unread:
            return Way.UNKNOWN
        if (remedy, live, refuge) not in self._ways:
            found = way_of(remedy, self.now, live=live, watched=self.watched, refuge=refuge)
            self._ways[remedy, live, refuge] = found
        return self._ways[remedy, live, refuge]

    def _read_edits(self) -> None:
        """Bring the two recipes up to the edits recorded so far."""
        assert self.reader is not None
        edits = self.reader.history.edits
        if edits == self._edits or self._base is None:
            return
        self._edits, self.now, self.later = list(edits), self._base, self._base
        self._ways.clear()
        for done in edits:
            self.later = _edited(self.later, done.path, done.new)
            self.now = _edited(self.now, done.path, done.new) if done.live else self.now
        self._rows = rows(self.now, self.later, catalog.toggles())

    def edit(self, path: str, value: str) -> None:
        """Edit the draft, or order the edit from the run. RecipeError says what is wrong with it."""
        if self.reader is None:
            assert self.now is not None
            self.now = self.later = edit(self.now, path, value)
            return
        if self.later is not None:
            edit(self.later, path, value)
        self.order("edit", path=path, value=value)

    def fault(self, edits: Edits) -> str:
        """What is wrong with some edits, or nothing."""
        try:
            recipe = self.later
            for path, value in edits:
                recipe = edit(recipe, path, value) if recipe else None
        except RecipeError as error:
            return str(error.faults[0].message if error.faults else error)
        return ""

    def order(self, verb: str, **args: str) -> None:
        """Send a command to the run. RunError where none can be sent."""
        assert self.reader is not None
        if self.read_only:
            raise RunError("this screen only looks (--read-only)")
        if self.link and self.link.stale(time.time()):
            raise RunError(f"there is no link to {self.link.host} now")
        send(own(self.reader.run, "command").mailbox, Command(verb, args))

    def elsewhere(self, deed: str) -> str:
        """Why something that takes the run's own machine and files cannot be done from here; nothing where it can."""
        if self.link:
            return f"the run is on {self.link.host}: {deed} there"
        if self.read_only:
            return "this screen only looks (--read-only)"
        whose = stranger(self.reader.run) if self.reader else ""
        return f"the run belongs to {whose}: you may look at it, and not {deed}" if whose else ""

    def start(self, root: Path, *, allow_code: bool) -> RunDir:
        """Make the draft's run directory and follow it; starting the host is the caller's."""
        assert self.now is not None
        run = new_run(self.now, root, self.name, allow_code=allow_code, command=sys.argv)
        self._follow(run)
        return run


def _tree(run: RunDir) -> dict[str, Any] | None:
    """The recipe as a plain tree: empty for a loop of the user's own, None where it cannot be read."""
    import yaml

    try:
        with open(run.recipe, "rb") as file:
            tree = yaml.safe_load(file.read(MAX_BYTES).decode())
    except Exception:  # whatever PyYAML raises over what was never a recipe, such as a thousand brackets
        return None
    return tree if isinstance(tree, dict) else {} if tree is None else None


def _edited(recipe: Recipe, path: str, value: str) -> Recipe:
    """The recipe with a recorded edit; one that this version does not know is left out."""
    try:
        return edit(recipe, path, value)
    except RecipeError:
        return recipe


def _tail(log: Path) -> list[str]:
    """The last lines of host.log, empty ones left out."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-8:]


def open_vault(run: RunDir) -> str:
    """Score the sealed test set in a process of its own, which writes the ledger; returns why it could not, or nothing."""
    command = [sys.executable, "-m", "cockpit", "test", str(run.path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        return ""
    said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return said[-1] if said else f"cockpit test ended with status {done.returncode}"


def draft_of(helm: Helm, edits: Edits) -> Helm:
    """A draft from a run's recipe with the edits that wait for the next run, and some more. RecipeError."""
    recipe = helm.later
    if recipe is None:
        raise RunError("the recipe of this run cannot be read by this version of the cockpit")
    for path, value in edits:
        recipe = edit(recipe, path, value)
    return Helm(recipe=recipe, name=helm.name)
