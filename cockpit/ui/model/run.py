"""The run as a whole: header line, summary after the end, and the machine under it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cockpit.recipe import Recipe, lay
from cockpit.runs.directory import RunDir
from cockpit.runs.history import History
from cockpit.runs.pausing import why_paused
from cockpit.runs.summary import probing
from cockpit.runs.tables import STAGES
from cockpit.ui.format import count, duration, epochs, percent, si
from cockpit.ui.model.words import STATES, Word, clean

WINDOW = 400
"""Steps over which speed is averaged."""


@dataclass(frozen=True)
class Header:
    """The line at the top."""

    name: str
    id: str
    state: Word
    epoch: str = ""
    share: float = math.nan
    """Of the planned steps; NaN where nobody said how many there are."""
    speed: str = ""
    eta: str = ""
    device: str = ""
    probes: str = ""
    """What measuring and judging cost."""
    reason: str = ""
    """Why the run failed, was lost, or has not begun, in full."""


@dataclass(frozen=True)
class Summary:
    """What an ended run leaves behind, or a draft is about to do: (label, text) pairs."""

    state: Word
    lines: tuple[tuple[str, str], ...]
    keys: str
    """What to press next."""


def header(name: str, run_id: str, state: str, history: History, log: Sequence[str] = ()) -> Header:
    """The header of a run. `log` are the last lines of host.log, told where the run never began or died."""
    started = history.started
    reason = _reason(state, history, log)
    if started is None:
        return Header(clean(name), run_id, STATES[state], reason=reason)
    left = started.total_steps - history.step
    pace = _pace(history)
    moving = state == "running" and pace > 0
    return Header(
        name=clean(name),
        id=run_id,
        state=STATES[state],
        epoch=_epoch(history, started.epochs, left),
        share=history.step / started.total_steps if started.total_steps else math.nan,
        speed=f"{_tidy(pace)} it/s" if moving else "",
        eta=f"ETA {duration(left / pace)}" if moving and left > 0 else "",
        device=clean(started.device),
        probes=f"probes {percent(cost, 1)}" if math.isfinite(cost := probing(history.steps)) else "",
        reason=reason,
    )


def _epoch(history: History, epochs: int, left: int) -> str:
    """The epoch under way, of how many where that is known."""
    now = int(history.epoch) + 1
    return f"{min(now, epochs) if left > 0 else epochs}/{epochs}" if epochs else str(now)


def _tidy(pace: float) -> str:
    return count(round(pace)) if pace >= 100 else si(pace)


def _pace(history: History) -> float:
    """Steps per second of the last few hundred steps."""
    rows = history.steps[-WINDOW:]
    spent = float(rows["time"][-1] - rows["time"][0]) if len(rows) > 1 else 0.0
    return float(rows["step"][-1] - rows["step"][0]) / spent if spent > 0 else 0.0


def _reason(state: str, history: History, log: Sequence[str]) -> str:
    said = clean(history.ended.reason) if history.ended else ""
    last = clean(log[-1]) if log else ""
    if state in ("new", "starting"):
        return "importing torch, reading the data"
    if state == "paused":
        # A pause by key has no reason to give.
        why = "the device is given back" if history.released else clean(why_paused(history))
        return f"{why} · space goes on" if why else ""
    if state == "lost":
        words = "its host is gone without a word: killed, out of memory, or the machine went down"
        return f"{words}. Last line of host.log: {last}" if last else words
    if state == "failed":
        return said or last or "no reason was recorded; see host.log"
    return said


def seconds(history: History) -> float:
    """Seconds of training so far."""
    return float(history.steps["time"][-1]) if len(history.steps) else math.nan


def summary(run: RunDir, state: str, history: History, waiting: int, watched: bool = False) -> Summary | None:
    """What stands on the screen after the end; None while the run lives."""
    if state not in ("finished", "stopped", "interrupted", "failed", "lost"):
        return None
    lines = [("why", clean(history.ended.reason))] if history.ended and history.ended.reason else []
    if best := history.best:
        whose = f" with {clean(best.weights)}" if best.weights != "raw" else ""
        whose += f", {percent(best.plain_accuracy, 2)} without" if best.plain_accuracy is not None else ""
        score = f"epoch {best.epoch} · val accuracy {percent(best.val_accuracy, 2)}{whose} · val loss {best.val_loss:.4f}"
        if best.score != "accuracy":
            score += f" · {clean(best.score)} {best.scores.get(best.score, math.nan):.4f}"
        lines.append(("best", score))
    if history.started:
        begun = history.started
        flown = f"{epochs(history.epoch)}{f' of {count(begun.epochs)}' if begun.epochs else ''} epochs"
        lines.append(("time", f"{duration(seconds(history))} for {flown} on {clean(begun.device)}"))
    lines.append(("flags", ", ".join(clean(flag) for flag in history.active) or "none stands"))
    kept = [which for which in ("best", "last") if any(which in seen.path for seen in history.checkpoints)]
    if kept:
        lines.append(("weights", " and ".join(f"checkpoints/{which}.pt" for which in kept)))
    lines.append(("folder", clean(run.path)))
    if waiting:
        lines.append(("waiting", f"{count(waiting)} edit{'' if waiting == 1 else 's'} for the next run"))
    resume = "" if state == "finished" else "u resume · "
    keys = "d back; your script begins it again" if watched else f"{resume}n new run · v vault · d back"
    return Summary(STATES[state], tuple(lines), keys)


def briefing(recipe: Recipe) -> Summary:
    """What a recipe is about to do: the same box before the start."""
    train = recipe.train
    length = f"{count(train.epochs)} epochs, {count(train.batch_size)} images a step, device {clean(train.device)}"
    plan = [f"{seam}: {' → '.join(names)}" for seam, names in lay(recipe).items()]
    lines = [("about", clean(recipe.about)), ("training", length), ("plan", "; ".join(plan) or "the plain loop")]
    return Summary(STATES["ready"], tuple(line for line in lines if line[1]), "r start · t tricks and knobs · d back")


def machine(history: History) -> tuple[str, ...]:
    """The machine in a few lines, a GPU's only where one was measured; and what the probes cost it."""
    cost = probing(history.steps)
    probes = (f"probes {percent(cost, 1)} of the training time",) if math.isfinite(cost) else ()
    if not len(history.machine):
        return probes
    row = {name: float(history.machine[name][-1]) for name in history.machine.dtype.names or ()}
    said = [f"cpu {row['cpu']:3.0f} %", f"mem {row['memory']:.0f} %"]
    if math.isfinite(row["rss"]):
        said.append(f"run {si(row['rss'])}B")
    gpu = (
        ("gpu", row["gpu"], "%"),
        ("mem", row["gpu_memory"], "%"),
        ("", row["gpu_temperature"], "°C"),
        ("", row["gpu_power"], "W"),
    )
    known = [f"{label} {item:.0f} {unit}".strip() for label, item, unit in gpu if math.isfinite(item)]
    return ("  ".join(said), *(["  ".join(known)] if known else []), *_split(row), *probes)


def _split(row: Mapping[str, float]) -> tuple[str, ...]:
    """What the training spends its time on, in the order of a step; less what takes no time."""
    stages = [f"{stage} {row[stage]:.0f}" for stage in STAGES if row.get(stage, math.nan) >= 0.5]
    return ("time % " + ", ".join(stages),) if stages else ()
