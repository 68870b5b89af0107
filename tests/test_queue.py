"""Runs that wait in a batch queue: what is asked of it, what is said of them, and how they are taken out."""

import json
import os
import sys
import time

import pytest
from commands import answer, cockpit, refused
from conftest import TINY
from slurm_double import SlurmDouble

from cockpit.runs import queue
from cockpit.runs.directory import find
from cockpit.runs.launch_facts import say_facts
from cockpit.runs.state import beat, state_of


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    double = SlurmDouble(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{double.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(queue, "FRESH", 0.0)
    return double


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return str(path)


@pytest.fixture
def waiting(slurm, recipe, runs):
    """A run in the queue, old enough to be lost if the queue did not vouch for it."""
    run = find(runs, answer("start", recipe, "--slurm")["id"])
    os.utime(run.recipe, (0, 0))
    return run


def test_what_is_asked_for_is_in_the_job_script(slurm, recipe):
    asked = ("-o", "partition=gpu", "-o", "time=1-02:30:01", "-o", "gpus=1", "-o", "mem=8G", "-o", "signal_delay_s=120")
    told = answer("start", recipe, "--slurm", *asked)
    assert (told["queue"], told["job"], told["pid"]) == ("slurm", "7", None)
    wanted = ("partition=gpu", f"time={26 * 60 + 31}", "gpus-per-node=1", "mem=8G", "signal=USR2@120", "requeue")
    assert {f"#SBATCH --{option}" for option in wanted} <= set(slurm.submitted)
    assert any("submitit.core._submit" in line for line in slurm.submitted)


def test_several_gpus_are_a_task_each_and_are_remembered(slurm, recipe):
    id = answer("start", recipe, "--slurm", "--gpus", "4")["id"]
    wanted = {"#SBATCH --ntasks-per-node=4", "#SBATCH --gpus-per-node=4"}
    assert wanted <= set(slurm.submitted)
    cockpit("stop", id)
    answer("resume", id, "--slurm", "-o", "gres=gpu:a100:4")
    assert "#SBATCH --ntasks-per-node=4" in slurm.submitted and "#SBATCH --gpus-per-node=4" not in slurm.submitted


@pytest.mark.parametrize(
    ("said", "minutes"),
    [("90", 90), ("90:30", 91), ("1:30:00", 90), ("2-1", 49 * 60), ("2-01:05", 49 * 60 + 5), ("0-0:0:1", 1)],
)
def test_times_are_written_as_in_sbatch(slurm, recipe, said, minutes):
    answer("start", recipe, "--slurm", "-o", f"time={said}")
    assert f"#SBATCH --time={minutes}" in slurm.submitted


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--slurm", "-o", "partiton=gpu"], "did you mean 'partition'"),
        (["--slurm", "-o", "time=soon"], "expected minutes"),
        (["--slurm", "-o", "time=0"], "no time at all"),
        (["--slurm", "-o", "cpus=all"], "expected a whole number"),
        (["--slurm", "-o", "partition"], "expected KEY=VALUE"),
        (["--slurm", "-o", "nodes=2"], "--gpus N"),
        (["--queue", "pbs"], "expected slurm or local"),
        (["-o", "partition=gpu"], "say --slurm"),
    ],
)
def test_what_the_queue_would_not_understand_is_refused_before_there_is_a_run(slurm, recipe, runs, words, sentence):
    assert sentence in refused("start", recipe, *words)
    assert not runs.exists()


def test_without_submitit_and_without_slurm_a_sentence_says_what_is_missing(slurm, recipe, runs, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "no sbatch" in refused("start", recipe, "--slurm")
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert "pip install 'training-cockpit[slurm]'" in refused("start", recipe, "--queue", "local")
    assert not runs.exists()


def test_a_run_that_slurm_does_not_take_is_gone_again(slurm, recipe, runs):
    slurm.flag("refuses")
    done = cockpit("start", recipe, "--slurm")
    assert done.code == 2 and "no such partition" in done.err.splitlines()[-1]
    assert list(runs.iterdir()) == []


def test_it_is_new_for_as_long_as_the_queue_has_it(slurm, waiting):
    assert state_of(waiting) == "new"
    assert answer("show")["queue"] == {"name": "slurm", "job": "7", "state": "pending"}
    assert "waits as slurm job 7 (pending)" in cockpit("runs").out
    slurm.flag("silent")
    assert state_of(waiting) == "new" and "squeue gives no answer" in cockpit("show").out
    slurm.flag("silent", on=False)
    slurm.says("")
    assert state_of(waiting) == "lost" and "left the queue before the run began" in cockpit("runs").out


def test_one_question_serves_all_runs_of_a_command(slurm, recipe, monkeypatch):
    monkeypatch.setattr(queue, "FRESH", 60.0)
    for _ in range(3):
        answer("start", recipe, "--slurm")
    before = slurm.asked
    queue._slurm.__init__()
    assert [one["state"] for one in answer("runs")] == ["new"] * 3
    assert slurm.asked == before + 1


def test_runs_without_a_queue_ask_none(slurm, fly):
    fly()
    assert answer("runs")[0]["queue"] is None and slurm.asked == 0


def test_a_job_handed_in_after_slurm_was_asked_is_asked_for_anew(slurm, recipe, monkeypatch):
    monkeypatch.setattr(queue, "FRESH", 60.0)
    queue._slurm.__init__()
    assert queue.word(queue.Job("slurm", "7", time=time.time() - 60)) == "gone"
    answer("start", recipe, "--slurm")
    assert answer("show")["state"] == "new"


def test_stop_takes_a_waiting_run_out_of_the_queue(slurm, waiting):
    done = cockpit("stop", waiting.id)
    assert done.code == 0 and "is stopped at step 0: slurm job 7 was cancelled" in done.out
    assert not list(slurm.jobs.iterdir())
    assert answer("show")["state"] == "stopped"
    assert answer("show")["queue"] is None


def test_stop_says_so_where_the_queue_cannot_be_asked(slurm, waiting):
    slurm.flag("silent")
    assert "no squeue answers" in refused("stop", waiting.id)
    assert slurm.jobs.joinpath("7").exists() and not list(waiting.mailbox.iterdir())


def test_a_run_that_is_queued_again_is_not_resumed_by_another_host(slurm, waiting):
    launched = '{"kind": "launched", "t": 1.0, "pid": 1, "host": "h", "versions": {}, "command": []}\n'
    ended = '{"kind": "ended", "t": 2.0, "step": 5, "state": "interrupted", "reason": "on request"}\n'
    waiting.events.write_text(launched + ended)
    beat(waiting.heartbeat, "running", 5)
    assert "queued again as slurm job 7 (pending)" in cockpit("runs").out
    assert "goes on by itself" in refused("resume", waiting.id)
    assert "goes on by itself" in refused("resume", waiting.id, "--slurm")
    assert "is stopped" in cockpit("stop", waiting.id).out


def test_a_stopped_run_is_handed_in_again(slurm, waiting):
    cockpit("stop", waiting.id)
    assert answer("resume", waiting.id, "--slurm", "-o", "partition=long")["job"] == "7"
    assert "#SBATCH --partition=long" in slurm.submitted
    assert "queued again as slurm job 7" in cockpit("show").out


@pytest.mark.parametrize("said", [None, [], {"queue": "slurm"}, {"queue": "slurm", "id": 7, "time": "x"}])
def test_facts_that_make_no_sense_are_no_job(runs, recipe, slurm, said):
    run = find(runs, answer("start", recipe, "--slurm")["id"])
    say_facts(run, queue=said)
    assert queue.job_of(run) is None
    run.launch.write_text(json.dumps([said]))
    assert queue.job_of(run) is None
