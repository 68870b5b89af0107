"""`cockpit bench`: its figures against ones made elsewhere, its verdicts, and how it leaves."""

import json
import subprocess
import sys
import time
from collections import deque
from itertools import count, islice
from pathlib import Path

import psutil
import pytest
import torch
from typer.testing import CliRunner

from cockpit.bench import course, disk, loop, screen
from cockpit.bench.cases import MLP, Case
from cockpit.bench.data import decoding, resident
from cockpit.bench.device import bandwidth, peaks
from cockpit.bench.findings import Finding, best_change
from cockpit.bench.loops import built, ours, plain, record
from cockpit.bench.rounds import Spread, in_turn, shares
from cockpit.bench.terminal import FRAME, Terminal
from cockpit.cli.base import app
from cockpit.runs.directory import list_runs
from cockpit.runs.tables import STEPS, read_table

SMALL = Case("small", MLP, size=8, channels=1, batch=16, images=400)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def steps(lane, wanted: int) -> None:
    deque(islice(lane, wanted), maxlen=0)


def test_every_lane_trains_in_every_round_and_another_begins_each():
    order, clock = [], count(1)

    def lane(name):
        def train(wanted: int) -> float:
            order.append(name)
            return wanted * next(clock)

        return train

    taken = in_turn({name: lane(name) for name in "abc"}, 10, 3)
    assert "".join(order) == "abcbcacab"
    assert taken == {"a": [10, 60, 80], "b": [20, 40, 90], "c": [30, 50, 70]}
    assert shares(taken, "a")["b"] == Spread(80 / 90, 0.5, 1.5)


def test_the_plain_loop_and_ours_come_to_the_same_weights(monkeypatch):
    jobs = [built(SMALL)[0] for _ in range(2)]
    order = torch.arange(len(jobs[0].train)).flip(0)
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: order)
    before = [weight.clone() for weight in jobs[0].model.parameters()]
    for job, lane in zip(jobs, (plain(jobs[0]), ours(jobs[1])), strict=True):
        steps(lane, 5)
        assert job.model.training
    for start, left, right in zip(before, *(job.model.parameters() for job in jobs), strict=True):
        assert not torch.equal(start, left)
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)


def test_only_a_loop_with_a_record_leaves_one(tmp_path):
    job, loaded = built(SMALL)
    log = record(job, loaded, tmp_path)
    lane = ours(job, log)
    while not len(log.history.steps):  # rows come a few times a second
        steps(lane, 10)
    log.close()
    (run,) = list_runs(tmp_path)
    kept = read_table(run.table("steps"), STEPS)["step"]
    assert list(kept) == list(range(1, len(kept) + 1))


def test_the_operations_of_a_step_are_those_of_its_products():
    job, _ = built(SMALL)
    forward = 2 * 16 * (64 * 64 + 64 * 10)
    inputs = 2 * 16 * 64 * 10  # the gradient of the first layer's inputs is asked of nobody
    assert loop.operations(job) == 2 * forward + inputs
    assert all(weight.grad is None for weight in job.model.parameters())


@pytest.mark.parametrize(
    ("share", "growth", "limit"), [(0.5, 1.5, "python overhead"), (0.5, 3.0, "compute"), (0.1, 3.9, "memory and small kernels")]
)
def test_what_limits_a_network(share, growth, limit):
    assert loop._limit(share, growth).startswith(limit)


def test_a_change_is_named_only_where_it_was_worth_it():
    assert best_change({"a": 1.05, "b": 0.4}) == ""
    assert best_change({}) == ""
    assert best_change({"a": 1.3, "b": 2.0, "c": 1.9}) == "b: 2 times as fast"


def test_the_loop_is_measured(tmp_path):
    seen = loop.loop(SMALL, {"fp32": 1e11}, tmp_path, length=0.02, rounds=2)
    assert seen.figures["record"] > 0 and seen.figures["ours"] > 0
    assert {"train.batch_size=64", "train.precision=bf16"} <= seen.figures.keys()
    assert f"{seen.figures['plain_steps_s']:,.4g} steps/s plain" in seen.said
    assert json.loads(json.dumps(seen.plain()))["part"] == "loop"


def test_the_device_and_the_data_path_are_measured():
    found = peaks(CPU, side=64)
    assert set(found) == {"fp32", "bf16"}
    assert min(*found.values(), bandwidth(CPU, megabytes=1)) > 0
    idle, hungry = resident(SMALL, 1e-6, length=0.01), resident(SMALL, 1e12, length=0.01)
    assert idle.limit.startswith("nothing") and not idle.change
    assert hungry.limit == "the augmentation" and hungry.change
    assert decoding(1e-6, 1e4, files=4).limit.startswith("nothing")
    slow = decoding(1e12, 1e4, files=4)
    assert slow.limit.startswith("decode") and "data.keep=device" in slow.change


def test_the_disk_is_measured_and_left_as_it_was(tmp_path, monkeypatch):
    root = tmp_path / "new" / "runs"
    seen = disk.disk(root, lines=20, flushes=3, megabytes=1)
    assert min(seen.figures.values()) > 0 and not [*root.iterdir()]
    monkeypatch.setattr(disk, "SLOW_APPEND", 0.0)
    slow = disk.disk(root, lines=5, flushes=1, megabytes=1)
    assert (slow.limit.split()[0], slow.change) == ("disk", "COCKPIT_RUNS on a local disk")


@pytest.mark.skipif(sys.platform != "linux", reason="df names file systems on Linux")
def test_the_file_system_is_the_one_that_df_names():
    for path in ("/", "/dev/shm", "/proc"):
        told = subprocess.run(["df", "--output=fstype", path], capture_output=True, text=True, check=True).stdout
        assert disk.file_system(Path(path)) == told.split()[-1]


def test_a_terminal_counts_bytes_and_frames_and_holds_its_program():
    code = f"""
import sys, time
while True:
    sys.stdout.write({FRAME.decode()!r} + "x" * 8)
    sys.stdout.flush()
    sum(range(10**5))
    time.sleep(0.01)
"""
    with Terminal([sys.executable, "-c", code]) as opened:
        opened.until(b"xxxxxxxx")
        with pytest.raises(TimeoutError):
            opened.until(b"never", patience=0.05)
        opened.stop()
        subprocess.run(["sleep", "0.1"], check=True)  # what was on its way
        held = opened.tally()
        subprocess.run(["sleep", "0.1"], check=True)
        assert opened.tally().bytes == held.bytes == held.frames * (len(FRAME) + 8)
        opened.go_on()
        until = time.monotonic() + 20
        while (now := opened.tally()).bytes == held.bytes or not now.cpu:
            assert time.monotonic() < until


@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")  # a host outlives the object that began it
def test_the_screen_is_measured_on_a_run_that_is_gone_afterwards(monkeypatch):
    made = []
    monkeypatch.setattr(screen, "new_run", lambda *a, keep=screen.new_run, **k: made.append(keep(*a, **k)) or made[0])
    seen = screen.screen(SMALL, settle=0.2, steady=0.5)
    assert seen.figures["first_frame_s"] > 0 and seen.figures["first_frame_cpu_s"] > 0
    assert not made[0].path.exists()
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(made[0].path) in (one.info["cmdline"] or ())]


def test_the_first_line_needs_no_torch():
    code = "import sys; import cockpit.cli.benching, cockpit.bench.course, cockpit.bench.disk, cockpit.bench.screen"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_ctrl_c_leaves_what_was_measured(monkeypatch, how):
    def two(root, tell):
        yield Finding("disk", "here", "as quick as it gets", "nothing", "nobody", {"append_s": 0.5})
        raise KeyboardInterrupt

    monkeypatch.setattr(course, "course", two)
    done = CliRunner().invoke(app, ["bench", *how])
    assert done.exit_code == 130 and "as quick as it gets" in done.stdout
    if how:
        told = json.loads(done.stdout)
        assert not told["complete"] and told["findings"][0]["figures"] == {"append_s": 0.5}
    else:
        assert done.stdout.endswith("change  nobody\ninterrupted: the rest was not measured\n")


def test_a_folder_that_cannot_be_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "cockpit", "bench", "--runs", str(tmp_path / "file" / "runs")], capture_output=True, text=True
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "file" in done.stderr
