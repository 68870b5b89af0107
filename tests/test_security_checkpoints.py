"""Files that pose as checkpoints: every reader of weights refuses them in a sentence, runs nothing of them, comes to an end."""

import io
import os
import pickle
import signal
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from commands import cockpit, refused
from conftest import TINY
from test_hostile import kill

from cockpit.engine import checkpoints
from cockpit.engine.checkpoints import CheckpointError
from cockpit.nets.from_timm import Wanted, from_timm
from cockpit.nets.past import Past
from cockpit.travel import Task

PATIENCE = 100
"""Seconds in which a test ends that does not hang; far more than any machine needs."""


class Gadget:
    """What a pickle asks to be called."""

    def __init__(self, call, *arguments) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def weights() -> dict:
    return {"step": 3, "model": {"w": torch.zeros(3)}}


def gadgets(canary: Path) -> dict[str, Gadget]:
    """Calls of which each would leave a canary."""
    inner = canary.with_suffix(".inner")
    inner.write_bytes(pickle.dumps(Gadget(os.mkdir, str(canary))))
    return {
        "os.system": Gadget(os.system, f"mkdir {canary}"),
        "os.mkdir": Gadget(os.mkdir, str(canary)),
        "eval": Gadget(eval, f"__import__('os').mkdir({str(canary)!r})"),
        "exec": Gadget(exec, f"__import__('os').mkdir({str(canary)!r})"),
        "torch.load": Gadget(partial(torch.load, weights_only=False), str(inner)),
        "call": Gadget(subprocess.call, ["mkdir", str(canary)]),
    }


def zipped(path: Path, pickled: bytes, packing: int = zipfile.ZIP_STORED, **more: bytes) -> None:
    """An archive as torch writes it, around a pickle of any kind."""
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little", **more}.items():
            archive.writestr(f"archive/{name}", data)


def legacy(path: Path, pickled: bytes) -> None:
    """As torch wrote before 1.6: one pickle after another."""
    magic = (pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2), pickle.dumps({"little_endian": True}, 2))
    path.write_bytes(b"".join(magic) + pickled + pickle.dumps([], 2))


def script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl"):
            archive.writestr(f"archive/{name}", pickle.dumps((), 2))
        archive.writestr("archive/code/__torch__.py", "class M(Module):\n  pass\n")


def lying(path: Path) -> None:
    """Parts that say they are larger than the file that holds them."""
    torch.save(weights(), path)
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<II", data, at + 20, 1 << 31, 1 << 31)
    path.write_bytes(data)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bomb(path: Path) -> None:
    zipped(path, pickle.dumps(weights(), 2), zipfile.ZIP_DEFLATED, blow=bytes(1 << 26))
    assert path.stat().st_size < 1 << 18


def listed(path: Path) -> None:
    torch.save([1, 2], path)


STRANGE = {
    "fifo": (os.mkfifo, "is no plain file"),
    "folder": (Path.mkdir, "is no plain file"),
    "/dev/zero": (device, "is no plain file"),
    "link to nothing": (lambda path: path.symlink_to("nowhere"), "there is no checkpoint"),
    "TorchScript": (script, "is a TorchScript program and no weights"),
    "bomb": (bomb, "is packed, which no checkpoint is"),
    "lying": (lying, "is damaged"),
    "a list": (listed, "is not one of ours"),
}
HOW = {"new": zipped, "old": legacy, "bare": Path.write_bytes}
WHICH = ("os.system", "os.mkdir", "eval", "exec", "torch.load", "call")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("which", WHICH)
def test_no_pickle_is_obeyed(tmp_path: Path, which: str, how: str) -> None:
    canary, path = tmp_path / "canary", tmp_path / "last.pt"
    gadget = gadgets(canary)[which]
    HOW[how](path, pickle.dumps({"step": 1, "model": gadget}, 2))
    for mapped in (False, True):
        with pytest.raises(CheckpointError, match=r"^checkpoint last.pt [^\n]*$"):
            checkpoints.load(path, mapped=mapped)
    assert not canary.exists(), "it was executed"
    with suppress(Exception):
        pickle.loads(pickle.dumps(gadget))
    assert canary.exists(), "the gadget works where it is let"


@pytest.mark.parametrize("which", STRANGE)
def test_what_is_no_checkpoint_is_refused_at_once(tmp_path: Path, which: str) -> None:
    make, said = STRANGE[which]
    make(tmp_path / "last.pt")
    for mapped in (False, True):
        with pytest.raises(CheckpointError, match=said):
            checkpoints.load(tmp_path / "last.pt", mapped=mapped)


def test_a_checkpoint_of_ours_is_read_also_through_a_link(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "far.pt", weights())
    (tmp_path / "last.pt").symlink_to(tmp_path / "far.pt")
    for mapped in (False, True):
        assert checkpoints.load(tmp_path / "last.pt", mapped=mapped)["step"] == 3


SPOILT = [*STRANGE, "code", "old code"]


def spoil(run, which: str, canary: Path) -> None:
    """Every checkpoint of a run is replaced."""
    kept = run.checkpoint("last").parent
    for path in [*kept.glob("*.pt")]:
        path.unlink()
        if which in STRANGE:
            STRANGE[which][0](path)
        else:
            state = pickle.dumps({"step": 12, "model": Gadget(os.mkdir, str(canary))}, 2)
            (legacy if which == "old code" else zipped)(path, state)


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Whatever waits for a FIFO or reads without end is ended."""

    def end(*_: object) -> None:
        raise TimeoutError("it hangs")

    held = signal.signal(signal.SIGALRM, end)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, held)


@pytest.fixture
def halted(fly):
    """A run that was left before its end."""
    run = fly().run
    kill(run)
    return run


@pytest.mark.parametrize("which", SPOILT)
def test_every_reader_of_weights_says_no(fly, halted, which: str, tmp_path: Path) -> None:
    canary, run = tmp_path / "canary", halted
    other = fly(TINY, "seed=1").run
    spoil(run, which, canary)
    for words in (("test", run.id), ("examine", run.id), ("ensemble", run.id, other.id), ("soup", run.id, other.id)):
        assert "checkpoint" in refused(*words)
    for at in ("last", "best"):
        assert refused("fork", run.id, "--at", at)
    for kind in ("best", "last"):
        with pytest.raises(ValueError, match=r"checkpoint [^\n]*$"):
            Past(run).state(kind)
    assert not canary.exists()


@pytest.mark.parametrize("which", ["fifo", "/dev/zero", "bomb", "code"])
def test_a_resume_ends_with_a_sentence(halted, which: str, tmp_path: Path) -> None:
    spoil(halted, which, tmp_path / "canary")
    done = cockpit("resume", halted.id, "--foreground")
    assert (done.code, done.err) == (1, "") and not (tmp_path / "canary").exists()
    assert "failed at step" in done.out and "checkpoint last.pt" in done.out and "traceback" not in done.out


@pytest.mark.parametrize("which", ["fifo", "TorchScript", "bomb", "code", "old code", "safetensors"])
def test_a_file_of_weights_for_a_library_network_is_no_program(tmp_path: Path, which: str) -> None:
    pytest.importorskip("timm")
    canary, path = tmp_path / "canary", tmp_path / ("net.safetensors" if which == "safetensors" else "net.pth")
    gadget = pickle.dumps({"model": Gadget(os.mkdir, str(canary))}, 2)
    if which in STRANGE:
        STRANGE[which][0](path)
    else:
        {"code": zipped, "old code": legacy, "safetensors": Path.write_bytes}[which](path, gadget)
    with pytest.raises(ValueError, match=r"^pretrained: [^\n]*$") as told:
        from_timm(Wanted("resnet10t", pretrained=str(path)), Task(3, 32, 32, 10))
    assert not canary.exists() and "weights_only" not in str(told.value)


def test_weights_of_the_old_format_are_still_read(tmp_path: Path) -> None:
    from timm.models import load_state_dict

    path, held = tmp_path / "net.pth", {"w": torch.ones(2)}
    buffer = io.BytesIO()
    torch.save(held, buffer, _use_new_zipfile_serialization=False)
    path.write_bytes(buffer.getvalue())
    assert torch.equal(load_state_dict(str(path), weights_only=True)["w"], held["w"])
