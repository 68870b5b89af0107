"""A feed and a mirror: what grows, what is cut, what a new connection sends, and what a long run is thinned to."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from remote_pair import Connection, Far, same
from test_walls import loaded

from cockpit.remote import feed as feeds
from cockpit.remote.files import shuffled, unshuffled
from cockpit.remote.held import BLOCK, Held
from cockpit.remote.mirror import Mirror
from cockpit.remote.thin import BUCKETS, EXACT, LONG
from cockpit.runs import events as ev
from cockpit.runs.mailbox import take
from cockpit.runs.state import state_of
from cockpit.runs.tables import LAYERS, STEPS, blank, read_table

Connect = Callable[..., Connection]


@pytest.fixture
def far(tmp_path: Path) -> Far:
    made = Far(tmp_path / "far")
    made.steps(1, 500)
    made.beat()
    return made


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    made = Mirror(tmp_path / "cache")
    yield made
    made.remove()
    assert not any((tmp_path / "cache").iterdir())


@pytest.fixture
def connect(far: Far, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    monkeypatch.setattr(feeds, "PACE", 0.02)
    made: list[Connection] = []

    def connection(**given: bool) -> Connection:
        made.append(Connection(far.run, mirror, **given))
        made[-1].until(lambda: made[-1].count("pulse"))
        return made[-1]

    yield connection
    for each in made:
        each.close()


def test_a_run_is_followed_byte_for_byte(far, mirror, connect):
    line = connect()
    assert same(far.run, mirror)
    far.say(ev.Noted(text="one more"))
    far.steps(501, 5000)
    line.until(lambda: same(far.run, mirror))
    assert mirror.run.path.name == far.run.path.name and mirror.run.path.stat().st_mode & 0o777 == 0o700


def test_a_torn_line_and_a_torn_row_wait_until_they_are_whole(far, mirror, connect):
    line = connect()
    whole = mirror.run.events.read_bytes(), mirror.run.table("steps").read_bytes()
    for path in (far.run.events, far.run.table("steps")):
        with open(path, "ab") as file:
            file.write(b'{"kind": "not')
    line.looks()
    assert (mirror.run.events.read_bytes(), mirror.run.table("steps").read_bytes()) == whole


@pytest.mark.parametrize("back, on", [(450, 470), (450, 6000), (3, 2000), (0, 10)])
def test_rows_that_are_trained_again_replace_the_old_ones(back, on, far, mirror, connect):
    far.steps(501, 4000)  # several blocks of rows
    line = connect()
    held = np.asarray(read_table(mirror.run.table("steps"), STEPS))
    before = held.copy()
    far.back_to(back)
    far.steps(back + 1, on)
    line.until(lambda: same(far.run, mirror))
    # A map that a screen holds stays what it was: the file was replaced, not cut under it.
    assert held.tobytes() == before.tobytes()


def test_a_new_connection_sends_only_what_is_missing(far, mirror, connect):
    far.steps(501, 8000)
    first = connect()
    far.steps(8001, 8010)
    first.close()
    far.steps(8011, 8050)
    again = connect()
    assert same(far.run, mirror)
    assert again.came < first.came / 20
    assert again.count("piece") == 1 and again.count("whole") == 0


def test_a_new_connection_finds_what_was_rewritten_meanwhile(far, mirror, connect):
    far.steps(501, 8000)
    first = connect()
    first.close()
    far.back_to(4000)
    far.steps(4001, 9000)
    again = connect()
    assert same(far.run, mirror)
    assert 0 < len(again.last("piece").body) < 6000 * STEPS.itemsize  # not from the beginning


def test_a_long_run_comes_thinned_and_no_spike_is_lost(far, mirror, connect):
    far.steps(501, 4 * LONG)
    there = np.asarray(read_table(far.run.table("steps"), STEPS))
    line = connect()
    here = np.asarray(read_table(mirror.run.table("steps"), STEPS))
    assert len(here) < len(there) / 4
    assert here[-EXACT:].tobytes() == there[-EXACT:].tobytes()
    old = there[:-EXACT]
    length = -(-len(old) // BUCKETS)
    for start in range(0, len(old), length):
        stretch = old[start : start + length]
        kept = here[(here["step"] >= stretch["step"][0]) & (here["step"] <= stretch["step"][-1])]
        for name in ("loss", "accuracy"):
            assert (kept[name].min(), kept[name].max()) == (stretch[name].min(), stretch[name].max())
        assert {row.tobytes() for row in kept} <= {row.tobytes() for row in stretch}
    far.steps(4 * LONG + 1, 4 * LONG + 77)
    line.until(lambda: len(read_table(mirror.run.table("steps"), STEPS)) == len(here) + 77)
    far.back_to(100)  # into what the sketch stands for
    far.steps(101, 200)
    line.until(lambda: same(far.run, mirror))


def test_a_new_connection_knows_a_sketch_again(far, mirror, connect):
    far.steps(501, 2 * LONG)
    first = connect()
    size = mirror.run.table("steps").stat().st_size
    first.close()
    far.steps(2 * LONG + 1, 2 * LONG + 10)
    again = connect()
    assert mirror.run.table("steps").stat().st_size == size + 10 * STEPS.itemsize
    assert again.count("whole") == 0


def test_of_old_layers_the_last_counts_come(far, mirror, connect):
    rows = blank(2 * LONG, LAYERS)
    rows["step"] = np.arange(len(rows))
    rows["dead"][[10, 5000]] = 0.25
    far.layers(rows)
    connect()
    here = read_table(mirror.run.table("layers"), LAYERS)
    assert list(here["step"][: len(here) - EXACT]) == [10, 5000] and here["step"][-1] == len(rows) - 1


def test_the_state_is_the_last_known(far, mirror, connect):
    line = connect()
    assert state_of(mirror.run) == "running"
    far.beat("paused")
    line.until(lambda: state_of(mirror.run) == "paused")
    far.run.heartbeat.write_text(far.run.heartbeat.read_text().replace('"born": ', '"born": 1'))  # another process
    line.until(lambda: state_of(mirror.run) == "lost")
    far.run.heartbeat.unlink()
    line.until(lambda: state_of(mirror.run) == "new")
    far.beat("running")
    line.until(lambda: state_of(mirror.run) == "running")


def test_a_run_that_is_removed_ends_its_feed(far, mirror, connect):
    line = connect()
    shutil.rmtree(far.run.path)
    line.ended()
    assert "was removed" in line.last("refused").said["why"]


def test_commands_reach_the_mailbox_once(far, connect):
    line = connect()
    for _ in range(2):  # the second time from a mirror that did not hear of it
        line.speak("command", verb="edit", args={"path": "optimizer.lr", "value": "0.1"}, id="ab12")
    line.until(lambda: line.count("took") == 2)
    (command,) = take(far.run.mailbox)
    assert (command.verb, command.args, command.id) == ("edit", {"path": "optimizer.lr", "value": "0.1"}, "ab12")
    far.say(ev.Commanded(id="ab12", verb="edit", ok=True))
    line.speak("command", verb="edit", args={}, id="ab12")
    line.until(lambda: line.count("took") == 3)
    assert not take(far.run.mailbox) and not line.last("took").said["why"]


@pytest.mark.parametrize(
    "said",
    [
        {"verb": "format_disk", "args": {}, "id": "ab"},
        {"verb": "stop", "args": {}, "id": "../../../tmp/ab"},
        {"verb": "stop", "args": {}, "id": ""},
        {"verb": "stop", "args": [], "id": "ab"},
        {"verb": "edit", "args": {"path": 3}, "id": "ab"},
        {"verb": "edit", "args": {"path": "x" * 100_000}, "id": "ab"},
        {"verb": ["stop"], "args": {}, "id": "ab"},
        {},
    ],
)
def test_what_is_no_command_is_not_taken(said, far, connect):
    line = connect()
    line.speak("command", **said)
    line.until(lambda: line.count("took"))
    assert line.last("took").said["why"]
    assert not any(far.run.mailbox.iterdir())


def test_a_feed_that_only_shows_takes_no_command(far, connect):
    line = connect(read_only=True)
    line.speak("command", verb="stop", args={}, id="ab12")
    line.until(lambda: line.count("took"))
    assert "--read-only" in line.last("took").said["why"] and not any(far.run.mailbox.iterdir())


def test_what_is_held_is_told_by_its_first_block_that_differs():
    draw = np.random.default_rng(1)
    data = draw.integers(0, 256, 5 * BLOCK + 1000, np.uint8)
    held = Held()
    rest = data.tobytes()
    while rest:  # in pieces of any size
        size = int(draw.integers(1, 2 * BLOCK))
        held.add(rest[:size])
        rest = rest[size:]
    for place in (0, BLOCK - 1, BLOCK, 3 * BLOCK + 17, 5 * BLOCK + 999):
        other = data.copy()
        other[place] ^= 1
        assert held.agreed(lambda begin, end, other=other: other[begin:end].tobytes()) == place // BLOCK * BLOCK
    assert held.agreed(lambda begin, end: data[begin:end].tobytes()) == len(data)
    assert held.agreed(lambda begin, end: data[: 2 * BLOCK + 5][begin:end].tobytes()) == 2 * BLOCK


def test_rows_are_shuffled_and_back():
    rows = np.random.default_rng(2).bytes(52 * 31)
    assert unshuffled(shuffled(rows, 52), 52) == rows != shuffled(rows, 52)


@pytest.mark.parametrize("module", ["remote.feed", "remote.line", "cli.feeding"])
def test_neither_end_needs_torch_or_the_screen(module):
    assert loaded(f"import cockpit.{module}") == set()
