"""Mailbox commands that were changed at random, to a live host: each is answered, and what is refused changes nothing."""

import json
import os
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cockpit.host.host import Host
from cockpit.launch import new_run
from cockpit.recipe import loads
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.runs.log import LineReader
from cockpit.runs.mailbox import VERBS, Command, Refused, send, take
from faulting.alike import differences
from faulting.hosts import EachStep, Forked, fork, heard, warm
from faulting.mutants import NASTY, mutate
from faulting.report import Outcome

RECIPE = """
about: mail
data: {source: digits, limit: 400}
model: {name: mlp, widths: [16], norm: none}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
schedule: constant
train: {epochs: EPOCHS, batch_size: 32, device: cpu, precision: fp32}
"""
BATCH = 50
"""Files that lie in the mailbox at a time."""
LONGEST = 600.0
Mail = tuple[str, bytes]
"""(name, content); the content of what is no plain file is a word for it."""
PATHS = (
    "optimizer.lr",
    "tricks.mixup",
    "train.epochs",
    "model.widths",
    "flags.dead_relu",
    "about",
    "",
    "x",
    "schedule",
    "loss",
)
VALUES = ("0.05", "on", "off", "7", "[8]", "-1", "nan", "1e300", "", "{a: b}", "!!python/name:os.system", "cosine", "null")


def mail(count: int, chance: random.Random, root: Path) -> Outcome:
    """So many mutants to hosts that train; then those that were refused to one more, whose result must not change."""
    warm()
    out = Outcome("mutated mailbox commands")
    letters = _letters(count, chance, root)
    out.tried = count
    refused = _to_all(letters, out, root)
    out.count("refused by the run that is compared", 0)
    _to_one(refused, out, root)
    return out


def _letters(count: int, chance: random.Random, root: Path) -> list[Mail]:
    """Mutants, without those that would rightly end the run or take it from this process."""
    box = root / "private"
    box.mkdir()
    letters: list[Mail] = []
    while len(letters) < count:
        letter = (_name(len(letters), chance), _content(len(letters), chance))
        put(box, letter)
        (found,) = take(box) or [Refused("out of reach")]
        shutil.rmtree(box)
        box.mkdir()
        ends = isinstance(found, Command) and (
            (found.verb == "stop" and found.args.get("state", "stopped") in ("stopped", "interrupted"))
            or (found.verb == "pause" and bool(found.args.get("release")))
        )
        if not ends:
            letters.append(letter)
    return letters


def _name(number: int, chance: random.Random) -> str:
    return f"{number:06}{chance.choice(['', '', '', chr(27) + '[2J', ' ü', '-' * 80, chr(0xDCFF)])}.json"


def _content(number: int, chance: random.Random) -> bytes:
    if chance.random() < 0.03:
        return chance.choice((b"folder", b"fifo", b"link", b"huge", b"socket"))
    args: dict[Any, Any] = {"path": chance.choice(PATHS), "value": chance.choice(VALUES)}
    if chance.random() < 0.3:
        args = {
            chance.choice(("state", "flag", "number", "epochs", "by", "release")): chance.choice(("1", "user", "x", "", "-1"))
        }
    order: dict[Any, Any] = {"verb": chance.choice((*VERBS, "edit", "edit", "edit")), "args": args, "id": f"m{number}"}
    if chance.random() < 0.3:
        order[chance.choice(("verb", "args", "id", "more"))] = chance.choice(NASTY[:8] + NASTY[9:])
    if chance.random() < 0.1:
        args[chance.choice(("path", "\ud800", "\x1b"))] = chance.choice(("\u202e", "x" * 70_000, 7, None))
    data = json.dumps(order, default=str).encode()
    return mutate(data, [b"verb: edit"], chance) if chance.random() < 0.4 else data


def put(box: Path, letter: Mail) -> None:
    """Lay a letter into a mailbox."""
    name, content = letter
    path = box / name
    match content:
        case b"folder":
            (box / ".part").mkdir()  # whole at once: the host takes what it sees
            (box / ".part" / "inside").write_text("mine")
            (box / ".part").rename(path)
        case b"fifo":
            os.mkfifo(path)
        case b"link":
            path.symlink_to("/dev/zero")
        case b"huge":
            with open(path, "wb") as file:
                file.truncate(1 << 40)
        case b"socket":
            os.mknod(path, 0o140600)
        case _:
            part = box / f".{len(name)}.part"
            part.write_bytes(content)
            os.replace(part, path)


def _posting(letters: Sequence[Mail], every: int) -> EachStep:
    """Lay a batch into the mailbox after every so many steps, and wait until the host has it; the last order undoes a pause."""
    left = list(letters)

    def post(host: Host, step: int, _: Any) -> None:
        if not left or step % every:
            return
        batch = [left.pop(0) for _ in range(min(BATCH, len(left)))]
        for letter in batch:
            put(host.run_dir.mailbox, letter)
        last = send(host.run_dir.mailbox, Command("checkpoint" if every > 1 else "continue", id=f"last{len(left)}"))
        while not any(command.id == last.id for command in heard(host)):
            time.sleep(0.005)
        if not left and every == 1:
            host.stop()

    return post


def _to_all(letters: list[Mail], out: Outcome, root: Path) -> list[Mail]:
    """Every mutant to a host; those that were refused. Where one that was obeyed ended a run, another host hears the rest."""
    left, refused = list(letters), []
    while left:
        run = _run(root, 100_000)
        host = fork(run, each=_posting(left, 1))
        if _hangs(host, out):
            return refused
        heard_of = _delivered(run, left)
        answers = _answers(run)
        out.count("hosts")
        _judge(host, run, out)
        for letter in left[:heard_of]:
            answer = answers.get(_id(letter))
            out.count("answered: refused" if answer is False else "answered: obeyed" if answer else "noted as no command")
            refused += [] if answer else [letter]
        _count_notes(run, left[:heard_of], out)
        if not heard_of:
            out.fail(f"{run.path}: no letter was heard")
            break
        left = left[heard_of:]
    return refused


def _run(root: Path, epochs: int) -> RunDir:
    return new_run(loads(RECIPE.replace("EPOCHS", str(epochs))), root, "mail", allow_code=False, command=[])


def _hangs(host: Forked, out: Outcome) -> bool:
    if host.watch(LONGEST):
        host.kill()
        out.fail("a host hangs")
        return True
    return False


def _judge(host: Forked, run: RunDir, out: Outcome) -> None:
    """A host leaves in order, or with the reason of what it was told."""
    ended, log = read_history(run).ended, run.log.read_text(errors="replace")
    if ended is None or host.code not in (0, 1) or "Traceback" in log:
        out.fail(f"{run.path}: the host left with {host.code}, {ended}: {log[-300:]!r}")
    elif ended.reason != "on request":
        out.count(f"runs that an obeyed command ended: {ended.state}, {ended.reason[:60]}")


def _answers(run: RunDir) -> dict[str, bool]:
    """What became of the commands, by id."""
    events = (ev.decode(line) for line in LineReader(run.events).read())
    return {event.id: event.ok for event in events if isinstance(event, ev.Commanded)}


def _id(letter: Mail) -> str:
    """A letter's own id, or that which a mutation gave it."""
    found = _taken(letter)
    return found.id if found else ""


def _taken(letter: Mail) -> Command | Refused | None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder), letter)
        found = take(Path(folder))
        return found[0] if found else None


def _delivered(run: RunDir, left: list[Mail]) -> int:
    """How many letters the host took: it leaves whole batches."""
    batches = sum(id.startswith("last") for id in _answers(run))
    return min(len(left), BATCH * batches)


def _count_notes(run: RunDir, letters: Sequence[Mail], out: Outcome) -> None:
    """As many answers and notes as there were letters."""
    events = [ev.decode(line) for line in LineReader(run.events).read()]
    said = sum(isinstance(event, ev.Commanded) and not event.id.startswith("last") for event in events)
    said += sum(isinstance(event, ev.Noted) and event.text.startswith("refused: ") for event in events)
    if said < len(letters):
        out.fail(f"{run.path}: {said} answers to {len(letters)} letters")


def _to_one(refused: list[Mail], out: Outcome, root: Path) -> None:
    """What was refused, to a run that is compared with an undisturbed one."""
    epochs = len(refused) // BATCH // 4 + 4
    alone = _run(root, epochs)
    fork(alone, haste=False).watch(LONGEST)
    chosen = [letter for letter in refused if not _harmless(letter)]
    for _ in range(4):
        run = _run(root, epochs)
        host = fork(run, each=_posting(chosen, 2), haste=False)
        if _hangs(host, out):
            return
        answers = _answers(run)
        obeyed = {id for id, ok in answers.items() if ok and not id.startswith("last")}
        if not obeyed:
            break
        chosen = [letter for letter in chosen if _id(letter) not in obeyed]  # refused there, and right here
    out.counts["refused by the run that is compared"] = len(chosen)
    _judge(host, run, out)
    if _delivered(run, chosen) < len(chosen):
        out.fail(f"only {_delivered(run, chosen)} of {len(chosen)} refused letters came to the run that is compared")
    for what in differences(run, alone)[:5]:
        out.fail(f"refused commands changed the result: {what}; {run.path}")


def _harmless(letter: Mail) -> bool:
    """Good orders that one run refuses and another obeys, for they depend on whether it pauses."""
    found = _taken(letter)
    return isinstance(found, Command) and found.verb in ("pause", "continue", "rollback", "remedy", "stop")
