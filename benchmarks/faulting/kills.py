"""Hosts killed with -9 at random instants and resumed until the run is finished, against runs that nobody disturbed."""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.runs.log import LineReader
from faulting.alike import differences
from faulting.hosts import PHASES, Forked, Order, fork, warm
from faulting.report import Outcome

DATA = "about: killed\nseed: 3\ndata: {source: digits, limit: 400}\n"
TRAIN = "device: cpu, precision: fp32, checkpoint_minutes: 0.05, keep: 2"
RECIPES = {
    "bn_dropout_mixup_ema": f"""{DATA}
model: {{name: small_cnn, widths: [8, 16]}}
optimizer: {{name: adamw, lr: 0.01}}
schedule: {{name: cosine, warmup_epochs: 1}}
train: {{epochs: 6, batch_size: 32, {TRAIN}}}
tricks: {{mixup: on, random_crop: {{pad: 1}}, random_erasing: on, weight_ema: on, dropout: on}}
""",
    "sam_swa": f"""{DATA}
model: {{name: small_cnn, widths: [8, 16]}}
optimizer: {{name: sgd, lr: 0.1, momentum: 0.9}}
schedule: one_cycle
train: {{epochs: 5, batch_size: 32, {TRAIN}}}
tricks: {{sam: on, swa: on, label_smoothing: on}}
""",
    "lbfgs": f"""{DATA}
model: {{name: mlp, widths: [16], norm: none}}
optimizer: {{name: lbfgs}}
schedule: constant
train: {{epochs: 6, batch_size: 200, {TRAIN}}}
""",
    "plateau_ill": f"""{DATA}
model: {{name: mlp, widths: [32, 32], activation: sigmoid, norm: none}}
optimizer: {{name: sgd, lr: 3.0, momentum: 0.9}}
schedule: plateau
train: {{epochs: 12, batch_size: 32, {TRAIN}}}
tricks: {{rotation: on, grad_clip: on}}
""",
}
"""Several kinds of state: averages, second passes, closures, findings that rise and clear."""
ORDERS: dict[str, tuple[Order, ...]] = {
    "bn_dropout_mixup_ema": ((7, "optimizer.lr", "0.02"), (24, "tricks.mixup", "off"), (31, "train.probe_every", "5")),
    "sam_swa": ((13, "optimizer.momentum", "0.8"), (30, "tricks.label_smoothing.epsilon", "0.2")),
    "lbfgs": ((5, "optimizer.lr", "0.5"),),
    "plateau_ill": ((39, "optimizer.lr", "0.1"), (100, "model.widths", "[8]")),
}
"""Edits that the mailbox gets when these steps are done; what a kill overtook is sent once more. The last one must wait."""
MOST = 8
"""Kills of one run; then it is left alone."""
LONGEST = 120.0


@dataclass(frozen=True)
class Whole:
    """A run that nobody disturbed, and its host's life: (seconds, phase entered)."""

    run: RunDir
    seconds: float
    trace: tuple[tuple[float, str], ...]

    def duration(self, phase: str) -> float:
        """Seconds that the longest stay in a phase took."""
        ends = [moment for moment, _ in self.trace[1:]] + [self.seconds]
        return max((end - at for (at, each), end in zip(self.trace, ends, strict=True) if each == phase), default=0.05)


def whole(name: str, root: Path) -> Whole:
    """Train a recipe undisturbed."""
    run = begun(name, root)
    host = fork(run, orders=ORDERS[name])
    if host.watch(LONGEST) or host.code:
        raise SystemExit(f"{name} does not train: {run.log.read_text(errors='replace')[-500:]}")
    return Whole(run, time.monotonic() - host.begun, tuple(host.trace))


def begun(name: str, root: Path) -> RunDir:
    """A new run of a recipe."""
    return new_run(loads(RECIPES[name]), root, name, allow_code=False, command=[])


def kills(count: int, chance: random.Random, root: Path, names: tuple[str, ...] = tuple(RECIPES)) -> Outcome:
    """At least `count` kills of forked hosts, each followed by a resume until the run is finished."""
    warm()
    out = Outcome("kills of forked hosts")
    wholes = {name: whole(name, root) for name in names}
    _control(out, wholes, root)
    for name in _turns(names):
        if out.tried >= count:
            break
        ours = begun(name, root)
        _through(ours, wholes[name], ORDERS[name], chance, out)
        if not _overtaken(ours, ORDERS[name]):
            compare(out, name, ours, wholes[name].run, root)
        else:
            out.count("runs not compared: an order was lost with its host, unanswered, after the checkpoint of its step")
        shutil.rmtree(ours.path)
    return out


def compare(out: Outcome, name: str, ours: RunDir, theirs: RunDir, root: Path) -> None:
    """A run that was killed with one that was not."""
    found = differences(ours, theirs) if read_history(ours).ended else ["it never finished"]
    out.count("runs brought to their end and compared")
    if found:
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        out.fail(f"{name} {ours.id}: {'; '.join(found[:4])}{more}; kept in {keep(ours, root)}")


def _overtaken(run: RunDir, orders: tuple[Order, ...]) -> bool:
    """Whether an edit can no longer be made at its step: its host had written a checkpoint there, and died before it."""
    events = [ev.decode(line) for line in LineReader(run.events).read()]
    made = {event.step for event in events if isinstance(event, ev.Edited)}  # ever: what was recorded must not get lost
    return any(step not in made for step, _, _ in orders)


def _turns(names: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from names


def _control(out: Outcome, wholes: dict[str, Whole], root: Path) -> None:
    """Two undisturbed runs must be alike, or nothing is proved."""
    for name, one in wholes.items():
        again = whole(name, root)
        for what in differences(again.run, one.run):
            out.fail(f"{name}: two undisturbed runs differ: {what}")
        history = read_history(one.run)
        out.count("edits in undisturbed runs", len(history.edits))
        out.count("findings in undisturbed runs", len(history.findings))
        shutil.rmtree(again.run.path)


def _through(run: RunDir, like: Whole, orders: tuple[Order, ...], chance: random.Random, out: Outcome) -> None:
    """Kill and resume a run to its end."""
    for launch in range(MOST + 1):
        host = fork(run, resume=launch > 0, orders=orders)
        if launch == MOST:
            if host.watch(LONGEST):
                host.kill()
                out.fail(f"{run.id}: the host hangs in {PHASES[host.phase]}")
            elif host.code:
                out.fail(f"{run.id}: the host left with {host.code}: {run.log.read_text(errors='replace')[-300:]}")
            return
        if not _killed(host, like, chance):
            if host.code:
                out.fail(f"{run.id}: the host left with {host.code}: {run.log.read_text(errors='replace')[-300:]}")
            return
        out.tried += 1
        out.count(f"killed in {PHASES[host.phase]}")
        for mail in run.mailbox.iterdir():  # an edit that was sent and not heard would be heard at another step
            mail.unlink()


def _killed(host: Forked, like: Whole, chance: random.Random) -> bool:
    """Kill a host at a random instant of its life, or of a phase; False where it was over before."""
    if chance.random() < 0.5:
        alive = host.watch(chance.uniform(0, like.seconds))
    else:
        phase, turn = chance.choice("srtceccex"), chance.randrange(1, 8)
        alive = host.watch(LONGEST, lambda: sum(each == phase for _, each in host.trace) >= turn)
        pause = chance.uniform(0, like.duration(phase))
        alive = alive and host.watch(time.monotonic() - host.begun + pause)
    if alive:
        with suppress(ProcessLookupError):
            host.kill()
    return alive and host.code == -9


def keep(run: RunDir, root: Path) -> Path:
    """Put a run that failed aside, to be looked at."""
    kept = root / "failed" / run.path.name
    if not kept.exists():
        shutil.copytree(run.path, kept)
    return kept


def processes(count: int, chance: random.Random, root: Path) -> Outcome:
    """The same with whole processes of `python -m cockpit.host`, without edits."""
    out = Outcome("kills of python -m cockpit.host")
    name = "bn_dropout_mixup_ema"
    undisturbed = begun(name, root)
    began = time.monotonic()
    subprocess.run(_words(undisturbed), check=True, capture_output=True)
    life = time.monotonic() - began
    while out.tried < count:
        run, launch = begun(name, root), 0
        while True:
            left = launch >= MOST or out.tried >= count
            process = subprocess.Popen(_words(run, resume=launch > 0), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                code = process.wait(LONGEST if left else chance.uniform(0, life))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                launch, out.tried = launch + 1, out.tried + 1
                out.count("with a checkpoint to go on from", int(run.checkpoint("last").exists()))
                continue
            if code:
                out.fail(f"{run.id}: the host left with {code}")
            break
        compare(out, name, run, undisturbed, root)
    return out


def _words(run: RunDir, *, resume: bool = False) -> list[str]:
    return [sys.executable, "-m", "cockpit.host", str(run.path), *(["--resume"] if resume else [])]
