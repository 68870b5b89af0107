"""Lets the flags look at a run and turns what they see into findings: live, on resume, and in a replay, with one result.

Step-driven flags look every BLOCK steps, later in a run every few blocks, with the history narrowed to exactly that step; the
others after each evaluation. So the findings depend on what was recorded and not on when the judge was called.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from cockpit.diagnosis import SEVERITIES, Flag, Moment, Sign
from cockpit.runs.events import Cleared, Flagged
from cockpit.runs.history import History
from cockpit.runs.tables import Rows, rows_until

BLOCK = 20
"""Steps between two looks of the step-driven flags at the start of a run ..."""
SLOWEST = 5
"""... and so many times as many from step 2,000 on: what happens late happens slowly, and a look is not free."""
RECENT = 100
"""Looks that a resumed run is given again: several times as many as any flag counts."""

Finding = Flagged | Cleared


class Judge:
    """Watches one history. Every method returns the new findings (t is 0); it folds nothing: the caller writes and folds them.

    A host that resumes a run reads its history (rewound by `Resumed`), makes a judge and calls `catch_up` once. `on_fault` is
    told of a flag that raised; it looks no more, for no flag may end a run. Without it, what a flag raises is raised.
    """

    def __init__(
        self, flags: Iterable[Flag], history: History, on_fault: Callable[[str, Exception], None] | None = None
    ) -> None:
        self._history = history
        self._on_fault = on_fault
        self._failed: set[str] = set()
        self._watches = [_Watch(flag) for flag in _causes_first(flags)]
        self._active: dict[str, Flagged] = {}
        self._looked = 0
        self._evaluations = 0

    def start(self) -> list[Finding]:
        """Call once, when the fresh network has been measured and before the first step."""
        return self._look(("start",), self._narrowed(0, 0))

    def rows(self) -> list[Finding]:
        """Call whenever the tables grew, by however much: judges every step that is due and has been passed."""
        found: list[Finding] = []
        last = _last_step(self._history)
        while True:
            block = next_look(self._looked)
            waiting = self._history.evaluations[self._evaluations :][:1]
            if waiting and waiting[0].step < block and waiting[0].step <= last:
                self._evaluations += 1
                found += self._look(("evaluation",), self._narrowed(waiting[0].step, self._evaluations))
            elif block <= last:
                self._looked = block
                found += self._look(("rows", "start"), self._narrowed(block, self._evaluations, before_evaluation=True))
            else:
                return found

    def evaluation(self) -> list[Finding]:
        """Call after an evaluation was folded and every step before it was recorded."""
        return self.rows()

    def final(self) -> list[Finding]:
        """Call when the run ends: what one look proves (a loss that is not finite) is also seen between two blocks."""
        found = self.rows()
        seen = self._narrowed(self._history.step, len(self._history.evaluations))
        return found + self._look(("rows", "start"), seen, only_proof=True)

    def catch_up(self) -> None:
        """After a resume: look again at all that counts, in silence; what holds is what the log says.

        No flag remembers more than its last few looks, so that a long run is looked at from where they began.
        """
        if self._history.measured:
            self.start()
        self._skip()
        self.rows()
        self._active = dict(self._history.active)
        for watch in self._watches:
            watch.level = _rank(self._active.get(watch.id))

    def _skip(self) -> None:
        """Go on from RECENT looks ago, as if all before had been looked at, and for evaluations from as many of them ago."""
        looks, step, last = deque([0], RECENT), 0, _last_step(self._history)
        while (step := next_look(step)) <= last:
            looks.append(step)
        if not looks[0]:
            return
        past = [seen.step for seen in self._history.evaluations if seen.step < looks[0]]
        for number, at in list(enumerate(past, 1))[-RECENT:]:
            self._recall(at)
            self._look(("evaluation",), self._narrowed(at, number))
        self._recall(looks[0])
        self._looked, self._evaluations = looks[0], len(past)

    def _recall(self, step: int) -> None:
        """What stood, by the log, when this step was done and looked at, and before an evaluation at it was."""
        self._active = {}
        for watch in self._watches:
            late = watch.flag.moment == "evaluation"
            said = [one for one in self._history.findings if one.id == watch.id and one.step + late <= step]
            stands = said[-1] if said and isinstance(said[-1], Flagged) else None
            watch.level = _rank(stands)
            if stands:
                self._active[watch.id] = stands
                watch.began = watch.began if watch.window else stands.since

    def sign(self, flag: Flag, seen: History) -> Sign | None:
        """What a flag sees in a history."""
        if flag.card.name in self._failed:
            return None
        try:
            return flag.look(seen)
        except Exception as error:
            if self._on_fault is None:
                raise
            self._failed.add(flag.card.name)
            self._on_fault(flag.card.name, error)
            return None

    def _look(self, moments: tuple[Moment, ...], seen: History, *, only_proof: bool = False) -> list[Finding]:
        found: list[Finding] = []
        for watch in self._watches:
            flag = watch.flag
            # A fault of the start is looked at again only while it holds, so that it can clear.
            resting = flag.moment == "start" and "rows" in moments and not watch.level
            explained = any(_rank(self._active.get(cause)) > _INFO for cause in flag.causes)
            if explained:
                watch.window.clear()
                watch.began = -1
            due = flag.moment in moments or (flag.at_start and moments == ("start",))
            if not due or resting or explained:
                continue
            sign = self.sign(flag, seen)
            if only_proof and not (sign and sign.conclusive):
                continue
            finding = watch.take(sign, seen)
            if isinstance(finding, Flagged):
                self._active[finding.id] = finding
            elif finding:
                del self._active[finding.id]
            found += [finding] if finding else []
        return found

    def _narrowed(self, step: int, evaluations: int, *, before_evaluation: bool = False) -> History:
        """The history as it stood when `step` was done; `before_evaluation` leaves out what an evaluation adds at that step."""
        whole = self._history
        layers = np.asarray(whole.layers)
        return History(
            started=whole.started,
            measured=whole.measured,
            # Not a copy where it is the same: a flag only reads it, and a long run has many.
            evaluations=whole.evaluations if evaluations == len(whole.evaluations) else whole.evaluations[:evaluations],
            active=dict(self._active),
            edits=[edit for edit in whole.edits if edit.step <= step],
            steps=np.asarray(whole.steps)[: rows_until(whole.steps, step)],
            layers=layers[: _without_dead(layers, step) if before_evaluation else rows_until(layers, step)],
            recipe=whole.recipe,
        )


def _last_step(history: History) -> int:
    """The last step recorded. Rows stand for steps in a row: one that claims to be far ahead is damaged."""
    rows = history.steps
    return min(history.step, int(rows["step"][0]) + len(rows) - 1) if len(rows) else history.step


def next_look(step: int) -> int:
    """The step of the look after the one at this step."""
    return step + BLOCK * min(max(1, step // (20 * BLOCK)), SLOWEST)


RANKS = ("", *SEVERITIES)
_INFO = RANKS.index("info")


def _rank(seen: Sign | Flagged | None) -> int:
    return RANKS.index(seen.severity) if seen else 0


@dataclass
class _Watch:
    """The memory of one flag's looks: what makes a finding rise late enough and clear late enough."""

    flag: Flag
    level: int = 0
    """The rank of the finding that holds; 0: none."""
    quiet: int = 0
    window: deque[int] = field(default_factory=deque)
    began: int = -1
    """Step of the first look that saw something, with no stretch of `of_last` quiet ones after it; -1: there is none."""

    @property
    def id(self) -> str:
        return self.flag.card.name

    def take(self, sign: Sign | None, seen: History) -> Finding | None:
        """Count one look; the finding it leads to, if any."""
        rank = _rank(sign)
        self.window.append(rank)
        if len(self.window) > self.flag.of_last:
            self.window.popleft()
        if not any(self.window):
            self.began = -1
        elif self.began < 0:
            self.began = seen.step
        agreed = sorted(self.window, reverse=True)[self.flag.needed - 1 : self.flag.needed]
        level = max(rank if sign and sign.conclusive else 0, *agreed, 0)
        self.quiet = self.quiet + 1 if rank < self.level else 0
        if sign and level > self.level:
            self.level = level
            return _flagged(self.id, RANKS[level], sign, seen, self.began)
        if self.level and self.flag.quiet and self.quiet >= self.flag.quiet:
            self.level = self.quiet = 0
            return Cleared(id=self.id, step=seen.step)
        return None


def _flagged(name: str, severity: str, sign: Sign, seen: History, since: int) -> Flagged:
    return Flagged(
        id=name,
        severity=severity,
        step=seen.step,
        since=since,
        epoch=seen.epoch,
        headline=sign.headline,
        why=sign.why,
        evidence=dict(sign.evidence),
        remedies=sign.remedies,
    )


def _causes_first(flags: Iterable[Flag]) -> list[Flag]:
    """Flags that explain others look before them."""
    rest = sorted(flags, key=lambda flag: flag.card.name)
    names = {flag.card.name for flag in rest}
    ordered: list[Flag] = []
    while rest:
        ready = [flag for flag in rest if not names & set(flag.causes)]
        if not ready:
            raise ValueError("these flags explain each other in a circle: " + ", ".join(flag.card.name for flag in rest))
        ordered += ready
        rest = [flag for flag in rest if flag not in ready]
        names -= {flag.card.name for flag in ready}
    return ordered


def _without_dead(rows: Rows, step: int) -> int:
    """The number of rows up to a step, less what an evaluation measured at that very step."""
    first, end = rows_until(rows, step - 1), rows_until(rows, step)
    added = np.isnan(rows["weight_norm"][first:end]) & np.isnan(rows["grad_norm"][first:end])
    return first + int(np.argmax(added)) if added.any() else end


def replay(history: History, flags: Iterable[Flag]) -> list[Finding]:
    """The findings of a recorded run, judged anew by these flags: the same as live, if the flags are the same."""
    judge = Judge(flags, history)
    found = judge.start() if history.measured else []
    found += judge.rows()
    return found + judge.final() if history.ended else found
