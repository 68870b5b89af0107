"""Files of a run directory cut short and with bits turned over: every reader goes on, and loses no more than what was hit."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from commands import cockpit as typed

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader, read_history
from cockpit.runs.mailbox import Command, send
from cockpit.runs.sound import sound
from cockpit.runs.tables import HEAD, TABLES
from faulting.alike import differences
from faulting.hosts import fork, warm
from faulting.kills import LONGEST, ORDERS, begun
from faulting.report import Outcome

NAME = "bn_dropout_mixup_ema"
RESUMED = 12
"""Every so many'th damage of a file is also resumed from, and every second one of the last checkpoint."""


def damage(count: int, chance: random.Random, root: Path) -> Outcome:
    """So many damaged copies of one run that was cut off; each is read by all readers, and some are resumed."""
    warm()
    out = Outcome("damaged run directories")
    whole, cut = _whole(root), _cut_off(root)
    files = sorted(path.relative_to(cut.path) for path in cut.path.rglob("*") if path.is_file())
    clean = _events(cut.events.read_bytes())
    for number in range(count):
        copy = RunDir(root / "copies" / cut.path.name)
        shutil.copytree(cut.path, copy.path)
        file = files[number % len(files)]
        what = hurt(copy.path / file, chance)
        out.tried += 1
        out.count(f"{_kind(file)} {what.split()[0]}")
        for fault in (*_read(copy), *_lost(cut, copy, file, clean)):
            out.fail(f"{file} {what}: {fault}; kept in {_keep(copy, root, number)}")
        turn = number // len(files)
        if turn % RESUMED == 1 or (file.name == "last.pt" and turn % 2):
            for fault in _resume(copy, whole, file, out):
                out.fail(f"{file} {what}: resume: {fault}; kept in {_keep(copy, root, number)}")
        shutil.rmtree(copy.path)
    return out


def _whole(root: Path) -> RunDir:
    run = begun(NAME, root)
    fork(run, orders=ORDERS[NAME]).watch(LONGEST)
    return run


def _cut_off(root: Path) -> RunDir:
    """A run that was killed in its fifth evaluation, with a look at the test set, and with mail that nobody read."""
    run = begun(NAME, root)
    host = fork(run, orders=ORDERS[NAME])
    host.watch(LONGEST, lambda: sum(phase == "e" for _, phase in host.trace) == 5)
    host.kill()
    run.ledger.write_text("".join(json.dumps({"t": 1.0, "accuracy": 0.5, "loss": 1.0, "epoch": 3}) + "\n" for _ in range(3)))
    for flag in ("dead_relu", "overfitting"):
        send(run.mailbox, Command("snooze", {"flag": flag}))
    return run


def hurt(path: Path, chance: random.Random) -> str:
    """Cut a file short, or turn bits of it over; says which."""
    data = bytearray(path.read_bytes())
    if not data:
        path.write_bytes(chance.randbytes(chance.randrange(1, 64)))
        return "filled with noise"
    if chance.random() < 0.5:
        size = chance.randrange(len(data))
        os.truncate(path, size)
        return f"cut to {size} of {len(data)}"
    bits = [chance.randrange(8 * len(data)) for _ in range(chance.choice((1, 1, 1, 2, 8)))]
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    return f"flipped at {', '.join(str(bit // 8) for bit in bits)}"


def _kind(file: Path) -> str:
    return f"{file.parent.name}/*" if file.parent.name in ("mailbox", "checkpoints") else str(file)


def _read(run: RunDir) -> list[str]:
    """What any reader raised."""
    from cockpit.ui.helm import Helm
    from cockpit.ui.model.launch import run_row

    def screen() -> None:
        helm = Helm(run=run)
        helm.poll()
        helm.poll()

    def command(*words: str) -> Callable[[], None]:
        def call() -> None:
            done = typed(*words)
            if (
                "Traceback" in done.err
                or done.code not in (0, 2)
                or (done.code == 2) != bool(done.err.strip() and not done.out)
            ):
                raise ValueError(f"`{' '.join(words[:1])}` left with {done.code}: {done.err[-200:]!r}")
            if "--json" in words and done.code == 0:
                json.loads(done.out)

        return call

    runs = ("--runs", str(run.path.parent))
    readers: dict[str, Callable[[], Any]] = {
        "history": lambda: read_history(run),
        "sound": lambda: sound(run),
        "screen": screen,
        "row": lambda: run_row(run, 0.0),
        "show": command("show", str(run.path), "--json"),
        "words": command("show", str(run.path), "--plot"),
        "runs": command("runs", *runs, "--json"),
        "replay": command("replay", str(run.path), "--json"),
    }
    faults = []
    for name, read in readers.items():
        try:
            read()
        except Exception as error:
            faults.append(f"{name} raised {type(error).__name__}: {str(error)[:200]}")
    return faults


def _events(data: bytes) -> dict[bytes, ev.Event | None]:
    return {line: ev.decode(line.decode()) for line in data.split(b"\n")[:-1]}


def _lost(cut: RunDir, copy: RunDir, file: Path, clean: dict[bytes, ev.Event | None]) -> list[str]:
    """Records that nothing had hit and that a reader does not find."""
    reader = RunReader(copy)
    found = {ev.encode(event) for event in reader.poll()}  # as text: a NaN is equal to no other
    if file.name == "events.jsonl":
        there = [clean[line] for line in copy.events.read_bytes().split(b"\n")[:-1] if line in clean]
        return (
            [f"{len(gone)} events lost"]
            if (gone := [event for event in there if event and ev.encode(event) not in found])
            else []
        )
    if file.suffix == ".bin":
        dtype, now = TABLES[file.stem], getattr(reader.history, file.stem)
        ours, theirs = ((run.path / file).read_bytes() for run in (copy, cut))
        size = dtype.itemsize
        if len(ours) < HEAD or all(ours[at : at + HEAD // 2] != theirs[at : at + HEAD // 2] for at in (0, HEAD // 2)):
            return []  # both halves of its head are hit
        kept = {rows[at : at + size] for rows in [np.ascontiguousarray(now).tobytes()] for at in range(0, len(rows), size)}
        whole = range(HEAD, min(len(ours), len(theirs)) - size + 1, size)
        gone = [at for at in whole if ours[at : at + size] == theirs[at : at + size] and ours[at : at + size] not in kept]
        return [f"{len(gone)} rows lost"] if gone else []
    return []


def _resume(run: RunDir, whole: RunDir, file: Path, out: Outcome) -> list[str]:
    """What is wrong with the way in which a damaged run goes on, or says that it cannot."""
    host = fork(run, resume=True, orders=ORDERS[NAME])
    if host.watch(LONGEST):
        host.kill()
        return ["it hangs"]
    log = run.log.read_bytes().decode(errors="replace") if run.log.exists() else ""
    ended = read_history(run).ended
    said = log.strip().rpartition("\n")[2]
    if host.code not in (0, 1, 2) or (file.name != "host.log" and "Traceback" in log):
        return [f"left with {host.code}: {log[-300:]!r}"]
    if host.code == 0 and ended and ended.state == "finished":
        out.count("resumed and finished")
        touched = file.name in ("events.jsonl", "recipe.yaml") or file.suffix == ".bin"
        return [] if touched else differences(run, whole)[:1]
    if host.code == 1 and ended and ended.state == "failed" and ended.reason:
        out.count("resumed and failed with a sentence")
        expected = file.suffix == ".yaml" or file.suffix == ".pt"
        return [] if expected else [f"failed: {ended.reason}"]
    if host.code == 2 and said.startswith("cockpit: "):
        out.count("refused with a sentence")
        return []
    return [f"left with {host.code} and {ended}: {said!r}"]


def _keep(run: RunDir, root: Path, number: int) -> Path:
    kept = root / "failed" / str(number) / run.path.name
    if not kept.exists():
        shutil.copytree(run.path, kept)
    return kept
