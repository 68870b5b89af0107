"""What stands in a mailbox may be anything: it is taken out, obeyed or refused with a sentence, and ends nothing."""

import json
import os
import random
import threading
from pathlib import Path

import pytest
from test_control import flight_of, order_at

from cockpit.host.host import Host
from cockpit.runs import events as ev
from cockpit.runs.history import RunReader, read_history
from cockpit.runs.mailbox import MAX_BYTES, VERBS, Command, Refused, send, take

GOOD = {"verb": "edit", "args": {"path": "optimizer.lr", "value": "0.1"}, "id": "a1b2c3d4"}


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    (tmp_path / "mailbox").mkdir(mode=0o700)
    return tmp_path / "mailbox"


def put(mailbox: Path, name: str = "0.json", **changed: object) -> None:
    (mailbox / name).write_text(json.dumps(GOOD | changed))


def only(mailbox: Path) -> Command | Refused:
    """The one thing in a mailbox, which is empty afterwards."""
    (found,) = take(mailbox)
    assert waiting(mailbox) == []
    return found


def waiting(mailbox: Path) -> list[str]:
    return [path.name for path in mailbox.iterdir() if not path.name.startswith(".")]


def test_a_good_command_is_taken(mailbox: Path) -> None:
    put(mailbox)
    assert only(mailbox) == Command("edit", {"path": "optimizer.lr", "value": "0.1"}, "a1b2c3d4")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def full_folder(path: Path) -> None:
    path.mkdir()
    (path / "kept").write_text("mine")


def link(path: Path) -> None:
    other = path.parents[1] / "other.json"
    other.write_text(json.dumps(GOOD))
    path.symlink_to(other)


def socket_(path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


@pytest.mark.parametrize("make", [fifo, Path.mkdir, full_folder, link, socket_])
def test_what_is_no_plain_file_is_refused_and_out_of_the_way(mailbox: Path, make) -> None:
    make(mailbox / "0.json")
    put(mailbox, "1.json")
    refused, command = take(mailbox)
    assert refused.endswith("is no plain file") and isinstance(command, Command)
    assert waiting(mailbox) == [] and take(mailbox) == []
    kept = list(mailbox.rglob("kept"))
    assert make is not full_folder or kept[0].read_text() == "mine"
    assert make is not link or (mailbox.parent / "other.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(mailbox: Path) -> None:
    put(mailbox)
    os.chown(mailbox / "0.json", 12345, -1)
    assert only(mailbox) == "mailbox file '0.json' belongs to another user than the mailbox"


def test_a_mailbox_that_is_a_link_is_none(mailbox: Path) -> None:
    put(mailbox)
    (mailbox.parent / "linked").symlink_to(mailbox)
    assert take(mailbox.parent / "linked") == [] and waiting(mailbox) == ["0.json"]


def test_what_cannot_be_taken_out_is_not_obeyed_again_and_again(mailbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise PermissionError

    put(mailbox)
    monkeypatch.setattr(os, "unlink", fails)
    monkeypatch.setattr(os, "rename", fails)
    assert take(mailbox) == []


@pytest.mark.parametrize(
    ("changed", "words", "id"),
    [
        ({"id": "x" * 33}, "its id is not", ""),
        ({"id": "../../etc"}, "its id is not", ""),
        ({"id": 7}, "its id is not", ""),
        ({"verb": "explode"}, "unknown command 'explode'", "a1b2c3d4"),
        ({"verb": "\x1b[2J" * 50}, r"unknown command '\x1b[2J", "a1b2c3d4"),
        ({"verb": ["stop"]}, "that is no word", "a1b2c3d4"),
        ({"args": {"path": 1}}, "not all text", "a1b2c3d4"),
        ({"args": ["path"]}, "not all text", "a1b2c3d4"),
        ({"args": None}, "not all text", "a1b2c3d4"),
        ({"args": {"path": "\x1b]0;x\x07"}}, "control characters", "a1b2c3d4"),
        ({"args": {"\u202e": "x"}}, "control characters", "a1b2c3d4"),
    ],
)
def test_what_is_no_command_is_refused_in_printable_words(mailbox: Path, changed: dict, words: str, id: str) -> None:
    put(mailbox, **changed)
    refused = only(mailbox)
    assert isinstance(refused, Refused) and words in refused and refused.id == id
    assert refused.isprintable() and len(refused) < 200
    assert isinstance(refused.answer(3), ev.Commanded if id else ev.Noted)
    assert ev.decode(ev.encode(refused.answer(3))) == refused.answer(3)


@pytest.mark.parametrize("text", ["[" * 60_000, '{"a":' * 9_000, "9" * 60_000, "-" + "9" * 5_000, "\udc80", "", "null", "{}"])
def test_json_that_is_made_to_hurt(mailbox: Path, text: str) -> None:
    (mailbox / "\x1b[2J\n.json").write_bytes(text.encode(errors="surrogateescape"))
    refused = only(mailbox)
    assert isinstance(refused, Refused) and refused.isprintable() and "mailbox file" in refused


def test_a_huge_file_is_not_read(mailbox: Path) -> None:
    with open(mailbox / "0.json", "wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no room
    assert f"larger than {MAX_BYTES} bytes" in only(mailbox)


def spoilt(chance: random.Random) -> bytes:
    """A command, changed somewhere."""
    values: list[object] = [None, 7, -1.5, True, [], {}, [[["x"]]], "", "\x00", "é", "\x1b[31m", "x" * 70_000, 10**4000, *VERBS]
    raw: dict[str, object] = {"verb": chance.choice(VERBS), "args": {"path": "a", "value": "b"}, "id": "a1b2"}
    for _ in range(chance.randrange(3)):
        raw[chance.choice(["verb", "args", "id", "more"])] = chance.choice(values)
    if chance.random() < 0.3:
        raw["args"] = {chance.choice(["path", "state", "flag", "\ud800"]): chance.choice(values)}
    if chance.random() < 0.2:
        raw.pop(chance.choice(["verb", "args", "id"]))
    data = bytearray(json.dumps(raw).encode())
    for _ in range(chance.choice([0, 0, 1, 5])):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(data)


def test_five_hundred_spoilt_commands(mailbox: Path) -> None:
    chance, kinds = random.Random(5), set()
    for number in range(500):
        name = chance.choice(["", "\x1b", "\udcff", "ü ", "-"]) + f"{number}.json"
        (mailbox / name).write_bytes(spoilt(chance))
        found = only(mailbox)
        kinds.add(type(found))
        if isinstance(found, Refused):
            assert found.isprintable() and len(found) < 200
        else:
            assert found.verb in VERBS and all(text.isprintable() for pair in found.args.items() for text in pair)
    assert kinds == {Command, Refused}


def test_stop_takes_no_state_but_its_own(runs) -> None:
    asked = [Command("stop", {"state": "banana"}), Command("stop", {"state": "interrupted"})]
    flight = order_at(flight_of(runs), {2: asked})
    flight.fly()
    assert (flight.end.state, flight.end.step) == ("interrupted", 2)
    first = read_history(flight.run).commands[0]
    assert (first.ok, first.detail) == (False, "state: expected stopped or interrupted, got 'banana'")


def test_a_host_outlives_its_mailbox_and_answers_in_the_log(runs, capsys) -> None:
    flight = flight_of(runs, "train.epochs=100000")
    host = Host(flight.run, say=lambda text: None)
    thread = threading.Thread(target=host.run)
    box = flight.run.mailbox
    full_folder(box / "00-0")
    fifo(box / "00-1")
    put(box, "00-2", verb="explode\x1b")
    put(box, "00-3", id="\x1b[2J")
    thread.start()
    reader = RunReader(flight.run)
    asked = send(box, Command("pause"))
    while thread.is_alive() and not any(seen.id == asked.id for seen in reader.history.commands):
        reader.poll()
        thread.join(0.05)
    assert thread.is_alive()
    send(box, Command("stop"))
    thread.join(timeout=60)
    reader.poll()
    assert (reader.state, waiting(box)) == ("stopped", [])
    assert [(seen.id, seen.ok) for seen in reader.history.commands[:2]] == [("a1b2c3d4", False), (asked.id, True)]
    assert len([note for note in reader.history.notes if note.text.startswith("refused: mailbox file")]) == 3
    assert "\x1b" not in capsys.readouterr().err + flight.run.events.read_text()
