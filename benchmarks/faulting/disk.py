"""Small file systems that fill up, turn read-only, or lose the run's directory while it trains. Needs the right to mount."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commands import Done
from commands import cockpit as typed

from cockpit.engine import keeper
from cockpit.host.host import Host
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.runs.sound import sound
from faulting.alike import differences
from faulting.hosts import EachStep, Forked, fork, warm
from faulting.kills import LONGEST, begun
from faulting.report import Outcome

NAME = "bn_dropout_mixup_ema"
KIB = 6 * 1024
STEPS = 72
"""Steps of the run."""


class Disk:
    """A mounted file system of a few MiB."""

    def __init__(self, at: Path, kind: str) -> None:
        self.at, self.kind, self._image = at, kind, at.with_suffix(".img")
        self.at.mkdir(parents=True)
        if kind == "ext4":
            with open(self._image, "wb") as file:
                file.truncate(KIB * 1024)
            _do("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(self._image))
        self.mount()

    def mount(self) -> None:
        """As it is after the machine was started."""
        if self.kind == "ext4":
            _do("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.at))
        else:
            _do("mount", "-t", "tmpfs", "-o", f"size={KIB}k", "tmpfs", str(self.at))

    def fill(self, leave: int = 0) -> None:
        """Take all room but so many bytes."""
        with open(self.at / "ballast", "ab", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096) > 0:
                pass
        size = (self.at / "ballast").stat().st_size
        os.truncate(self.at / "ballast", max(0, size - leave))

    def empty(self) -> None:
        """Give the room back."""
        (self.at / "ballast").unlink(missing_ok=True)

    def break_(self) -> None:
        """What the kernel does with a file system in which it finds a fault: it turns read-only, under every open file."""
        name = subprocess.run(["findmnt", "-no", "SOURCE", self.at], capture_output=True, text=True).stdout.strip()
        Path("/sys/fs/ext4", Path(name).name, "trigger_fs_error").write_text("1")

    def mend(self) -> None:
        """Unmount, check, mount again."""
        _do("umount", str(self.at))
        subprocess.run(["fsck.ext4", "-fy", str(self._image)], capture_output=True, check=False)
        self.mount()


def _do(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})


@contextmanager
def disk(at: Path, kind: str) -> Iterator[Disk]:
    """A small file system for as long as it takes. CalledProcessError where mounting is not allowed."""
    made = Disk(at, kind)
    try:
        yield made
    finally:
        subprocess.run(["umount", "-l", str(at)], capture_output=True, check=False)


def full(count: int, chance: random.Random, root: Path) -> Outcome:
    """So many runs on small disks, by turns in each of the ways."""
    warm()
    keeper.PATIENCE = 1.0
    out = Outcome("disks that are full, read-only or gone")
    whole = begun(NAME, root)
    fork(whole, each=lambda *_: None).watch(LONGEST)
    for number in range(count):
        way = WAYS[number % len(WAYS)]
        kind = "ext4" if way is _read_only or number // len(WAYS) % 2 else "tmpfs"
        with disk(root / f"disk{number}", kind) as small:
            out.tried += 1
            before = len(out.failures)
            try:
                way(small, whole, chance, out)
            except Exception as error:
                out.fail(f"{type(error).__name__}: {error}")
            for at in range(before, len(out.failures)):
                out.failures[at] = f"{way.__name__.strip('_')} on {kind}: {out.failures[at]}"
            out.count(f"{way.__name__.strip('_').replace('_', ' ')} ({kind})")
    return out


def _die(_: Host) -> None:
    os.kill(os.getpid(), 9)


def _at(acts: dict[int, Callable[[Host], object]]) -> EachStep:
    def each(host: Host, step: int, _: object) -> None:
        if step in acts:
            acts.pop(step)(host)

    return each


def _followed(host: Forked, run: RunDir, out: Outcome) -> bool:
    """Wait for the end of a host, and read its run the while, as a screen does; whether it ended."""
    for second in range(int(4 * LONGEST)):
        if not host.watch(second / 4):
            return True
        read_history(run)
    host.kill()
    out.fail("the host hangs")
    return False


def _whole(run: RunDir, whole: RunDir, out: Outcome, *, machine_fell: bool = False) -> None:
    """Finished, without a hole, and the same as if nothing had been; an epoch's own weights may be missing if that was said."""
    gaps = sound(run).gaps
    if gaps and machine_fell:
        out.count("rows of the last seconds lost with the machine; the record says so, and the weights are the same")
        for what in [each for each in differences(run, whole) if each.startswith("checkpoint")][:3]:
            out.fail(what)
        return
    notes = " ".join(note.text for note in read_history(run).notes)
    missing = f"only one has the checkpoints epoch_{STEPS // 12 - 1:05}"
    said = f"checkpoint epoch_{STEPS // 12 - 1:05} was not written" in notes
    for what in [*([gaps] if gaps else []), *differences(run, whole)][:3]:
        if said and what == missing:
            out.count("an epoch's own weights were not written, and the record says so")
        else:
            out.fail(what)


def _room_returns(small: Disk, whole: RunDir, chance: random.Random, out: Outcome) -> None:
    """Full from one step to another: nothing is missing, and the record says that it was."""
    run = begun(NAME, small.at)
    first = chance.randrange(1, STEPS - 12)
    last = chance.randrange(first + 6, STEPS)
    leave = chance.choice((0, 0, 100, 1000, 5000, 40_000))
    host = fork(run, each=_at({first: lambda _: small.fill(leave), last: lambda _: small.empty()}))
    if _followed(host, run, out):
        _whole(run, whole, out)
        said = [
            note.text for note in read_history(run).notes if "took no records" in note.text or "was not written" in note.text
        ]
        out.count("told of in the record", int(bool(said)))
        if host.code or any("are lost" in text for text in said):
            out.fail(f"left with {host.code}: {said}")


def _full_to_the_end(small: Disk, whole: RunDir, chance: random.Random, out: Outcome) -> None:
    """The host trains on to the end; with room again, a resume makes the record whole."""
    _to_the_end(small.fill, small.empty, begun(NAME, small.at), whole, chance, out)


def _to_the_end(
    spoil: Callable[[], None],
    mend: Callable[[], None],
    run: RunDir,
    whole: RunDir,
    chance: random.Random,
    out: Outcome,
    *,
    machine_fell: bool = False,
) -> None:
    host = fork(run, each=_at({chance.randrange(1, STEPS): lambda _: spoil()}))
    if _followed(host, run, out):
        if host.code not in (0, 1):
            out.fail(f"the host left with {host.code}")
        mend()
        _again(run, whole, out, machine_fell=machine_fell)


def _killed_when_full(small: Disk, whole: RunDir, chance: random.Random, out: Outcome) -> None:
    """-9 on a full disk; with room again, a resume ends as if nothing had been."""
    run = begun(NAME, small.at)
    first = chance.randrange(1, STEPS - 20)

    host = fork(run, each=_at({first: lambda _: small.fill(), chance.randrange(first + 1, STEPS): _die}))
    if _followed(host, run, out):
        small.empty()
        _again(run, whole, out)


def _again(run: RunDir, whole: RunDir, out: Outcome, *, machine_fell: bool = False) -> None:
    ended = read_history(run).ended
    if ended and ended.state == "finished" and not differences(run, whole):
        return
    host = fork(run, resume=True, each=lambda *_: None)
    if _followed(host, run, out):
        if host.code:
            out.fail(f"the resume left with {host.code}: {run.log.read_text(errors='replace')[-300:]}")
        _whole(run, whole, out, machine_fell=machine_fell)


def _resume_when_full(small: Disk, whole: RunDir, chance: random.Random, out: Outcome) -> None:
    """A resume on a full disk says so in a sentence, or trains; with room again it goes on."""
    run = begun(NAME, small.at)
    fork(run, each=_at({chance.randrange(1, STEPS): _die})).watch(LONGEST)
    small.fill(chance.choice((0, 1000, 5000, 20_000)))
    code, words = _in_a_copy(lambda: typed("resume", str(run.path), "--foreground"))
    if code not in (0, 1, 2) or "Traceback" in words:
        out.fail(f"resume left with {code}: {words[-500:]!r}")
    if run.log.exists() and "Traceback" in run.log.read_text(errors="replace"):
        out.fail(f"resume: a traceback in host.log: {run.log.read_text(errors='replace')[-300:]!r}")
    small.empty()
    _again(run, whole, out)


def _start_when_full(small: Disk, _: RunDir, chance: random.Random, out: Outcome) -> None:
    """A start says in one sentence that there is no room, or trains."""
    small.fill(chance.choice((0, 0, 500, 4096, 8192, 16_384, 30_000)))
    code, words = _in_a_copy(
        lambda: typed("train", "first_flight", "--set", "train.epochs=1", "--runs", str(small.at / "runs"))
    )
    said = [line for line in words.splitlines() if line.strip()]
    out.count("a start that was refused with a sentence", int(code == 2))
    if code not in (0, 1, 2) or "Traceback" in words or (code == 2 and len(said) != 1):
        out.fail(f"train left with {code}: {words[-400:]!r}")


def _read_only(small: Disk, whole: RunDir, chance: random.Random, out: Outcome) -> None:
    """Read-only from a step on: it trains on to the end; mounted anew, a resume makes the record whole."""
    _to_the_end(small.break_, small.mend, begun(NAME, small.at), whole, chance, out, machine_fell=True)


def _vanishes(small: Disk, _: RunDir, chance: random.Random, out: Outcome) -> None:
    """The run's directory is removed, moved, or unmounted: the host ends as failed, and makes no new one."""
    run = begun(NAME, small.at)
    how = chance.choice(("removed", "moved", "unmounted"))

    def vanish(_host: Host) -> None:
        if how == "removed":
            shutil.rmtree(run.path, ignore_errors=True)
        elif how == "moved":
            run.path.rename(small.at / "elsewhere")
        else:
            _do("umount", "-l", str(small.at))

    host = fork(run, each=_at({chance.randrange(1, STEPS - 20): vanish}))
    if _followed(host, run, out):
        out.count(f"{how}, and the host left with {host.code}")
        if host.code != 1 or run.path.exists():
            out.fail(f"{how}: left with {host.code}, directory {'there' if run.path.exists() else 'gone'}")


def _in_a_copy(command: Callable[[], Done]) -> tuple[int, str]:
    """A command in a fork of this process: its exit code, or the signal that ended it, and what it complained of."""
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        code, said = 70, "raised"
        try:
            code, _, said = command()
        except BaseException:
            import traceback

            said = traceback.format_exc()
        finally:
            os.write(its, said.encode("utf-8", "replace")[-8000:])
            os._exit(code)
    os.close(its)
    with open(ours, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


WAYS = (_room_returns, _full_to_the_end, _killed_when_full, _resume_when_full, _start_when_full, _read_only, _vanishes)
