"""The run directory: what a crash tears, what a reader sees, and what a state proves."""

import json
import math
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir, RunError, create, find, list_runs
from cockpit.runs.facts import Inputs, Outputs
from cockpit.runs.history import History, RunReader, read_history
from cockpit.runs.log import LineReader, LineWriter, append_json, read_json
from cockpit.runs.mailbox import Command, send, take
from cockpit.runs.state import beat, read_heartbeat, state_of
from cockpit.runs.tables import HEAD, STEPS, TableWriter, read_table

DATA = ev.DataFacts(
    source="digits",
    classes=("0", "1"),
    channels=1,
    height=8,
    width=8,
    train=90,
    val=10,
    test=20,
    train_counts=(45, 45),
    val_counts=(5, 5),
    mean=(0.3,),
    std=(0.2,),
    duplicates={"train": 1},
)
LAYER = ev.Layer(name="head", kind="Linear", shape=(10, 5), params=50)
INPUTS = Inputs(samples=9, low=-1.0, high=math.inf, mean=math.nan, std=1.0, channel_stds=(0.5, 2.0))
OUTPUTS = Outputs(samples=9, width=10, low=-1.0, high=2.0, row_sum_error=1.0, column_sum_error=2.0, spread=0.5, entropy=2.3)
EVENTS = [
    ev.Launched(pid=1, host="h", versions={"torch": "2"}, command=["cockpit"]),
    ev.Started(
        device="cpu",
        precision="fp32",
        params=5,
        layers=(LAYER,),
        data=DATA,
        plan={"batch": ["mixup"]},
        steps_per_epoch=10,
        total_steps=100,
        epochs=10,
        batch_size=9,
    ),
    ev.Resumed(step=4, checkpoint="last.pt"),
    ev.Measured(samples=90, loss=2.3, expected_loss=math.inf, accuracy=0.1),
    ev.Measured(samples=9, loss=2.3, expected_loss=2.3, accuracy=0.1, inputs=INPUTS, val_inputs=None, outputs=OUTPUTS),
    ev.Evaluated(
        step=10,
        epoch=1,
        train_loss=1.0,
        train_accuracy=0.5,
        val_loss=math.nan,
        val_accuracy=0.4,
        probe_size=9,
        val_size=10,
        best=True,
    ),
    ev.Flagged(
        id="x",
        severity="warning",
        epoch=1.0,
        headline="h\u2028\n",
        evidence={"a": 1.0, "b": "c"},
        remedies=(ev.Remedy(label="r", edits=(("a.b", "1"),), verb="stop"),),
    ),
    ev.Cleared(id="x"),
    ev.Snoozed(id="x", until=90),
    ev.Remedied(id="x", label="l", edits=(("a.b", "1"),), how="rollback", by="auto"),
    ev.Commanded(id="1", verb="edit", ok=True),
    ev.Edited(path="optimizer.lr", old="0.1", new="0.01", live=True),
    ev.Checkpointed(path="checkpoints/last.pt", reason="epoch"),
    ev.Paused(),
    ev.Continued(),
    ev.Noted(text="n"),
    ev.Ended(state="finished"),
]


@pytest.fixture
def run(runs) -> RunDir:
    return create(runs, "my net/№1", "seed: 0\n", {"allow_code": False})


def same(one, two):
    """Equal, NaN included."""
    return repr(asdict(one)) == repr(asdict(two)) and type(one) is type(two)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_survives_its_line(event):
    line = ev.encode(event)
    assert "\n" not in line
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert same(ev.decode(line), event)


def test_every_kind_of_event_is_covered():
    assert {event.kind for event in EVENTS} == set(ev.KINDS)


def test_an_unknown_kind_and_unknown_keys_are_left_out():
    assert ev.decode('{"kind": "of a newer version"}') is None
    assert ev.decode('{"kind": "noted", "text": "n", "colour": 3}') == ev.Noted(text="n")


def test_a_torn_line_costs_that_line_only(tmp_path):
    path = tmp_path / "log"
    writer = LineWriter(path)
    writer.append("one")
    writer.close()
    with open(path, "ab") as file:
        file.write(b"to" * 50_000)
    reader = LineReader(path)
    assert reader.read() == ["one"]
    writer = LineWriter(path)
    writer.append("two\u2028still two")
    assert reader.read() == ["two\u2028still two"]
    assert LineReader(path).read() == ["one", "two\u2028still two"]


def test_a_torn_row_costs_that_row_only(tmp_path):
    path = tmp_path / "rows"
    rows = np.zeros(3, STEPS)
    rows["step"] = [1, 2, 3]
    writer = TableWriter(path, STEPS)
    writer.append(rows)
    writer.close()
    with open(path, "ab") as file:
        file.write(b"x" * 17)
    assert read_table(path, STEPS)["step"].tolist() == [1, 2, 3]
    writer = TableWriter(path, STEPS)
    writer.append(rows[:1])
    assert read_table(path, STEPS)["step"].tolist() == [1, 2, 3, 1]
    writer.close()


def test_a_disk_that_takes_only_a_part_keeps_what_was_whole(tmp_path):
    lines, table = LineWriter(tmp_path / "log"), TableWriter(tmp_path / "rows", STEPS)
    lines.append("one")
    table.append(np.ones(1, STEPS))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEAD + STEPS.itemsize + 20, limits[1]))
    try:
        with pytest.raises(OSError, match=r"part of|too large"):
            table.append(np.ones(2, STEPS))
        with pytest.raises(OSError, match=r"part of|too large"):
            lines.append("x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    lines.append("two")
    table.append(np.full(1, 2, STEPS))
    assert LineReader(tmp_path / "log").read() == ["one", "two"]
    assert read_table(tmp_path / "rows", STEPS)["step"].tolist() == [1, 2]
    lines.close()
    table.close()


@pytest.mark.parametrize("whole", ["", "recipe.yaml"])
def test_a_disk_that_takes_no_run_is_left_without_half_of_one(tmp_path, whole):
    """It ends in the middle of the recipe, or of what comes after it."""
    long = "x" * 20_000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write a run directory under .*: File too large"):
            create(tmp_path, "big", "a recipe" if whole else long, {"command": long})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [] == list_runs(tmp_path)


def test_a_resume_forgets_what_came_after_its_checkpoint():
    history = History()
    for step in (10, 20, 30):
        history.fold(
            ev.Evaluated(
                step=step,
                epoch=step // 10,
                train_loss=1,
                train_accuracy=1,
                val_loss=1,
                val_accuracy=1,
                probe_size=1,
                val_size=1,
                best=step == 30,
            )
        )
        history.fold(ev.Flagged(step=step, id=f"at{step}", severity="info", epoch=1, headline=""))
    history.fold(ev.Cleared(step=25, id="at20"))
    history.fold(ev.Ended(step=30, state="stopped"))
    history.fold(ev.Launched(pid=1, host="h"))
    history.fold(ev.Resumed(step=20, checkpoint="last.pt"))
    assert [seen.step for seen in history.evaluations] == [10, 20]
    assert set(history.active) == {"at10", "at20"}
    assert history.ended is None


def test_commands_arrive_whole_and_in_order(run):
    sent = [send(run.mailbox, Command("edit", {"path": "a", "value": str(n)})) for n in range(5)]
    assert take(run.mailbox) == sent
    assert take(run.mailbox) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not a command"),
        ('{"verb": "explode", "args": {}, "id": "1"}', "unknown command"),
        ("[]", "is not a command"),
        (" " * 70_000, "larger than"),
    ],
)
def test_a_malformed_command_is_refused_with_words(run, text, words):
    (run.mailbox / "0.json").write_text(text)
    (refused,) = take(run.mailbox)
    assert words in refused
    assert take(run.mailbox) == []


def test_a_run_directory_belongs_to_its_user(run):
    assert run.path.stat().st_mode & 0o777 == 0o700
    assert run.mailbox.stat().st_mode & 0o777 == 0o700
    assert run.name == "my_net_1"


def test_runs_are_found_by_id_name_and_prefix(runs, run):
    time.sleep(1.1)  # names sort by the second
    other = create(runs, "other", "seed: 0\n", {})
    assert list_runs(runs) == [other, run]
    assert find(runs) == other
    for wanted in (run.id, run.path.name, "my_n", str(run.path)):
        assert find(runs, wanted) == run
    with pytest.raises(RunError, match=r"no run under .* is called 'zzz'"):
        find(runs, "zzz")
    with pytest.raises(RunError, match="could be any of 2 runs"):
        find(runs, "20")
    with pytest.raises(RunError, match="there are no runs under"):
        find(runs / "elsewhere")


def test_states_tell_the_truth(run):
    assert state_of(run) == "new"
    beat(run.heartbeat, "running", 3)
    assert state_of(run) == "running"
    assert state_of(run, ended="failed") == "failed"

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    pulse = asdict(read_heartbeat(run.heartbeat))
    run.heartbeat.write_text(json.dumps({**pulse, "pid": gone.pid}))
    assert state_of(run) == "lost"
    # A process id that the system gave to somebody else.
    run.heartbeat.write_text(json.dumps({**pulse, "born": pulse["born"] - 1000}))
    assert state_of(run) == "lost"


def test_an_old_directory_without_a_heartbeat_is_lost(run):
    os.utime(run.recipe, (0, 0))
    assert state_of(run) == "lost"


def test_a_reader_follows_and_one_that_comes_later_sees_the_same(run):
    live = RunReader(run)
    writer, table = LineWriter(run.events), TableWriter(run.table("steps"), STEPS)
    for event in EVENTS:
        writer.append(ev.encode(event))
        table.append(np.zeros(2, STEPS))
        live.poll()
    table.close()
    late = read_history(run)
    for name in ("evaluations", "findings", "edits", "notes", "commands", "active"):
        assert repr(getattr(late, name)) == repr(getattr(live.history, name))
    assert len(late.steps) == len(live.history.steps) == 2 * len(EVENTS)


def test_a_line_that_is_no_event_is_left_out(run):
    writer = LineWriter(run.events)
    for line in ("[]", "{", '{"kind": "noted"}', ev.encode(ev.Noted(text="here"))):
        writer.append(line)
    assert [note.text for note in read_history(run).notes] == ["here"]


def test_the_ledger_keeps_every_look(run):
    for accuracy in (0.5, 0.6):
        append_json(run.ledger, {"accuracy": accuracy})
    with open(run.ledger, "ab") as file:
        file.write(b'{"acc')
    assert [look["accuracy"] for look in read_json(run.ledger)] == [0.5, 0.6]
