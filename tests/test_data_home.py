"""Where images wait: the processes that decode them leave with their host, and the screen says where the images are."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image
from test_ui_model import canned

from cockpit.datasets import means
from cockpit.datasets.base import DataError
from cockpit.datasets.decoders import Decoders
from cockpit.datasets.listed import Listed
from cockpit.datasets.pictures import decoded, stack
from cockpit.engine.data.sample import readable, sampled
from cockpit.engine.data.statistics import statistics
from cockpit.runs import events
from cockpit.ui.model.data import data

HOST = """
import sys, time
from cockpit.datasets.decoders import Decoders
pool = Decoders((3, 8, 8), 2)
for slot in range(64):
    pool.ask(slot, 0, [sys.argv[1]] * 16)
pool.finish(0)
print(*(worker.process.pid for worker in pool._workers), flush=True)
time.sleep(60)
"""


@pytest.fixture
def files(tmp_path):
    draws, made = np.random.default_rng(0), []
    for number in range(40):
        made.append(tmp_path / f"{number:02}.png")
        Image.fromarray(draws.integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(made[-1])
    return made


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_processes_die_with_their_host_however_it_ends(files, how):
    with subprocess.Popen([sys.executable, "-c", HOST, files[0]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as host:
        workers = [psutil.Process(int(pid)) for pid in host.stdout.readline().split()]
        assert len(workers) == 2 and all(os.getsid(each.pid) == each.pid for each in workers), "Ctrl-C does not reach them"
        host.send_signal(how)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


def test_a_process_needs_no_torch():
    code = "import sys, cockpit.datasets.decoder; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_sample_of_all_is_exact_and_a_smaller_one_is_near(files, monkeypatch):
    images = Listed(files, np.zeros(40, np.int64), Decoders((3, 8, 8), 1))
    whole = stack([decoded(path, 8) for path in files], 3)
    np.testing.assert_array_equal(images.pixels, whole)
    notes: list[str] = []
    assert sampled(images, 1 / 255, print, notes) == statistics(whole, 1 / 255)
    monkeypatch.setattr("cockpit.engine.data.sample.SAMPLE", 20)
    np.testing.assert_allclose(sampled(images, 1 / 255, print, notes).mean, whole.mean((0, 2, 3)) / 255, atol=0.02)
    assert "all 40" in notes[0] and "a sample of 20" in notes[1]


def test_a_test_set_is_scored_without_its_unreadable_files_and_a_set_of_them_is_refused(files):
    images = Listed(files, np.arange(40) % 2, Decoders((3, 8, 8), 1))
    for broken in files[3:5]:
        broken.write_bytes(broken.read_bytes()[:60])
    left = readable(images)
    assert left.paths == files[:3] + files[5:] and left.labels.tolist() == [each % 2 for each in (*range(3), *range(5, 40))]
    notes: list[str] = []
    sampled(images, 1 / 255, print, notes)
    assert notes[0].startswith("2 of 40 images that were tried cannot be read")
    for broken in files[5:12]:
        broken.write_bytes(b"")
    with pytest.raises(DataError, match="9 of 40 images cannot be read"):
        sampled(images, 1 / 255, print, notes)


def test_processes_that_cannot_live_end_the_run_in_a_sentence(files, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    pool = Decoders((3, 8, 8), 1)
    with pytest.raises(DataError, match=r"end again and again near .*: code 1"):
        pool.ask(0, 0, [str(files[0])])
        pool.finish(0)


def test_a_slot_that_nobody_wants_any_more_comes_back_when_it_is_written(files):
    pool, deadline = Decoders((3, 8, 8), 1), time.monotonic() + 20
    whole = sorted(pool.slots.free)
    for _ in range(50):
        pool.ask(pool.slots.free.pop(), 0, [str(path) for path in files[:16]])
    for slot in set(whole) - set(pool.slots.free):
        pool.drop(slot)
    while len(pool.slots.free) < len(whole) and time.monotonic() < deadline:
        pool.pump(0.1)
    assert sorted(pool.slots.free) == whole


@pytest.mark.parametrize(
    ("quota", "here", "count"), [("max 100000", "1", 7), ("400000 100000", "1", 3), ("max 100000", "4", 1)]
)
def test_one_core_is_left_to_the_training(monkeypatch, quota, here, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(means, "_of_group", lambda name: quota)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", here)
    assert means.decoders() == count


def test_the_screen_says_where_they_are_and_older_records_are_read(tmp_path):
    history = canned(tmp_path)
    facts = dataclasses.replace(history.started.data, home="streamed from their files by 3 processes")
    history.started = dataclasses.replace(history.started, data=facts)
    assert data(None, history, 0, None).home == facts.home
    line = json.loads(events.encode(history.started))
    assert line["data"].pop("home") == facts.home
    history.started = events.decode(json.dumps(line))
    assert data(None, history, 0, None).home == ""
