"""What comes over the wire is not trusted: addresses, frames, files, and streams that are none."""

import subprocess
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest

from cockpit.remote.address import parse
from cockpit.remote.mirror import Mirror
from cockpit.remote.wire import MOST, NOISE, Frame, Inlet, Unpacker, WireError, packed
from cockpit.runs.directory import RunError

HELLO = {"run": "2026-01-01_000000_far_ab12", "folder": "/there", "host": "there"}
WHOLE = {"path": "recipe.yaml", "stands": 3, "crc": 0, "skip": 3, "width": 1}


def stream(*frames: bytes) -> bytes:
    return b"cockpit-feed 1\n" + zlib.compress(b"".join(frames))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_frames_come_whole_however_they_are_cut_and_whatever_a_login_prints(size):
    sent = [Frame("pulse", {"state": "running", "step": 3}), Frame("piece", {"at": 0}, bytes(range(256)) * 40), Frame("hello")]
    data = b"Welcome!\nLast login: never\n" + stream(*(packed(each.kind, each.body, **each.said) for each in sent))
    inlet = Inlet()
    assert [frame for at in range(0, len(data), size) for frame in inlet.feed(data[at : at + size])] == sent


@pytest.mark.parametrize(
    "data, why",
    [
        (b"SSH-2.0\n" * NOISE, "no cockpit"),
        (b"cockpit-feed 2\n", "version 2 of the feed and this cockpit version 1"),
        (b"cockpit-feed 1\nwhat is this", "damaged"),
        (stream((MOST + 1).to_bytes(4) + bytes(4)), "larger than any"),
        (stream(bytes(4) + (2**32 - 1).to_bytes(4)), "larger than any"),
        (stream((2).to_bytes(4) + bytes(4) + b"[]"), "says nothing"),
        (stream((2).to_bytes(4) + bytes(4) + b"{}"), "says nothing"),
        (stream((200_000).to_bytes(4) + bytes(4) + b"[" * 200_000), "says nothing"),
        (stream((3).to_bytes(4) + bytes(4) + b"\xff{}"), "says nothing"),
    ],
    ids=["noise", "version", "damaged", "json", "body", "list", "empty", "deep", "broken"],
)
def test_a_stream_that_is_none_is_told_as_such(data, why):
    with pytest.raises(WireError, match=why):
        list(Inlet().feed(data))


def test_a_stream_that_unpacks_without_end_fills_no_memory():
    bomb = stream(packed("piece", bytes(MOST)) * 100, packed("pulse") * 20_000)
    tracemalloc.start()
    assert sum(1 for _ in Inlet().feed(bomb)) == 20_100
    assert tracemalloc.get_traced_memory()[1] < 6 * MOST
    tracemalloc.stop()


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    made = Mirror(tmp_path / "cache")
    made.take(Frame("hello", HELLO))
    made.take(Frame("whole", WHOLE, b"a: "))
    return made


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def piece(**said: Any) -> Frame:
    return Frame("piece", {"path": "events.jsonl", "at": 0, "width": 1, **said}, b"x" * 52)


@pytest.mark.parametrize(
    "frame",
    [
        piece(path="../../../escaped"),
        piece(path="/tmp/escaped"),
        piece(path="link.json"),
        piece(path="mailbox/1.json"),
        piece(path="checkpoints/last.pt"),
        piece(path="recipe.yaml"),
        piece(path=["events.jsonl"]),
        piece(path=None),
        piece(at=1),
        piece(at=-1),
        piece(at=True),
        piece(width=0),
        piece(width=-1),
        piece(width=3),
        piece(width=1 << 40),
        piece(width="1"),
        Frame("piece", {}, b"x"),
        Frame("whole", {**WHOLE, "path": "../recipe.yaml"}, b"abc"),
        Frame("whole", {**WHOLE, "skip": -1}, b"abc"),
        Frame("whole", {**WHOLE, "stands": 1 << 70}, b"abc"),
        Frame("whole", {**WHOLE, "path": "host.log"}, b"a" * 5000),
        Frame("cut", {"path": "events.jsonl", "to": 0}),
        Frame("cut", {"path": "recipe.yaml", "to": 1}),
        Frame("pulse", {"state": "\x1b[2J", "step": 0}),
        Frame("pulse", {"state": "running", "step": 1e400}),
        Frame("pulse", {"state": ["running"], "step": 1}),
        Frame("hello", {}),
        Frame("mail", {}),
    ],
)
def test_frames_that_no_feed_sends_change_nothing(frame, mirror, tmp_path):
    before = files(tmp_path)
    with pytest.raises(WireError):
        mirror.take(frame)
    assert files(tmp_path) == before


def test_a_file_cannot_grow_without_end(mirror, monkeypatch, tmp_path):
    from cockpit.remote import mirror as module

    monkeypatch.setitem(module.GROWING, "events.jsonl", 100)
    mirror.take(piece())
    with pytest.raises(WireError):
        mirror.take(piece(at=52))
    assert mirror.run.events.stat().st_size == 52


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "..", ".", "", "a\x1b[2Jb\n", "é" * 500, ".hidden"])
def test_a_run_has_a_plain_name_here_whatever_it_is_called_there(name, tmp_path):
    mirror = Mirror(tmp_path / "cache")
    mirror.take(Frame("hello", {**HELLO, "run": name}))
    path = mirror.run.path.resolve()
    assert path.parent.parent == (tmp_path / "cache").resolve() and path.name.isascii() and path.name.isprintable()


def test_before_a_hello_nothing_is_taken(tmp_path):
    mirror = Mirror(tmp_path / "cache")
    with pytest.raises(WireError):
        mirror.take(Frame("whole", WHOLE, b"a: "))


def test_what_a_killed_screen_left_is_removed_by_the_next(tmp_path):
    left, mine = Mirror(tmp_path), Mirror(tmp_path)
    child = subprocess.Popen(["true"])
    child.wait()  # a process id that is nobody's now
    host, _, token = left._folder.name.rsplit("-", 2)
    left._folder.rename(tmp_path / f"{host}-{child.pid}-{token}")
    other = tmp_path / f"another-{child.pid}-{token}"
    other.mkdir()
    Mirror(tmp_path)
    assert mine._folder.exists() and other.exists() and not (tmp_path / f"{host}-{child.pid}-{token}").exists()


@pytest.mark.parametrize(
    "text, words",
    [
        ("ssh://gpu1/7f3a", ["--", "gpu1", "cockpit feed -- 7f3a"]),
        ("ssh://me@gpu1.example:2222/7f3a", ["-l", "me", "-p", "2222", "--", "gpu1.example", "cockpit feed -- 7f3a"]),
        ("ssh://gpu1", ["--", "gpu1", "cockpit feed --"]),
        ("ssh://[::1]:22//runs/x y", ["-p", "22", "--", "::1", "cockpit feed -- '/runs/x y'"]),
        ("ssh://gpu1/$(reboot);`x`", ["--", "gpu1", "cockpit feed -- '$(reboot);`x`'"]),
        ("ssh://gpu1/--read-only", ["--", "gpu1", "cockpit feed -- --read-only"]),
    ],
)
def test_an_address_becomes_words_that_no_shell_takes_apart(text, words, monkeypatch):
    monkeypatch.delenv("COCKPIT_SSH", raising=False)
    address = parse(text)
    run = [address.run] if address.run else []
    command = address.command(["feed", "--", *run], "cockpit", again=False)
    assert command[0] == "ssh" and command[-len(words) :] == words
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "ssh://",
        "ssh:///7f3a",
        "ssh:gpu1",
        "ssh://-oProxyCommand=reboot/7f3a",
        "ssh://-l@gpu1/x",
        "ssh://a b/x",
        "ssh://gpu1;reboot/x",
        "ssh://gpu1\n/x",
        "ssh://me:secret@gpu1/x",
        "ssh://gpu1:0/x",
        "ssh://gpu1:99999/x",
        "ssh://gpu1:x/x",
    ],
)
def test_what_is_no_address_is_told_as_such(text):
    with pytest.raises(RunError) as error:
        parse(text)
    assert "secret" not in str(error.value)


def test_what_a_mirror_says_is_bounded_too():
    with pytest.raises(WireError):
        list(Unpacker().feed((MOST + 1).to_bytes(4) + bytes(4)))
