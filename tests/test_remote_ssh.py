"""Through a real SSH server: a live run followed, ordered about, and found again after the connection was cut."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import refused
from conftest import TINY

from cockpit.remote import line as lines
from cockpit.remote.address import parse
from cockpit.remote.files import GROWING
from cockpit.remote.line import Line
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir, create, list_runs
from cockpit.runs.history import RunReader
from cockpit.runs.link import read_link
from cockpit.runs.mailbox import Command, send

if shutil.which("ssh") is None:
    pytest.skip("there is no ssh here", allow_module_level=True)

from ssh_server import SSHD, Server

if SSHD is None:
    pytest.importorskip("asyncssh")

PATIENCE = 120


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("machine") / "ssh")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def server(machine: Server, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("COCKPIT_SSH", machine.ssh)
    monkeypatch.setenv("COCKPIT_REMOTE", f"COCKPIT_RUNS={runs} {sys.executable} -m cockpit")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return machine


@pytest.fixture
def far(runs: Path) -> RunDir:
    """A run that nobody trains."""
    return create(runs, "idle", "seed: 0\n", {})


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


def grown(run: RunDir) -> dict[str, bytes]:
    return {name: (run.path / name).read_bytes() for name in ("recipe.yaml", *GROWING)}


def answered(reader: RunReader, run: RunDir, verb: str) -> ev.Commanded:
    """Send a command as a screen does, and wait for the run's answer."""
    command = send(run.mailbox, Command(verb))
    until(lambda: reader.poll() is None or any(done.id == command.id for done in reader.history.commands))
    return next(done for done in reader.history.commands if done.id == command.id)


def test_a_live_run_is_followed_ordered_about_and_found_again(server, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "WAITS", (0.2,))
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY)
    command = [sys.executable, "-m", "cockpit", "start", str(recipe), "--set", "train.epochs=100000", "--json"]
    far = RunDir(Path(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["dir"]))
    line = Line(parse("ssh://far/"), remote=os.environ["COCKPIT_REMOTE"])
    here = line.open()
    try:
        reader = RunReader(here)
        until(lambda: reader.poll() is None or (reader.history.step > 20 and reader.state == "running"))
        assert answered(reader, here, "pause").ok
        until(lambda: reader.poll() is None or reader.state == "paused")
        assert answered(reader, here, "continue").ok
        until(lambda: reader.poll() is None or reader.state == "running")

        server.stop()
        until(lambda: not read_link(here).up)
        at = RunReader(far)
        at.poll()
        seen = at.history.step
        until(lambda: at.poll() is None or at.history.step > seen + 100)  # the run notices nothing
        reader.poll()
        assert reader.state == "running" and "reconnecting" in read_link(here).words(time.time())
        lost = send(here.mailbox, Command("checkpoint"))  # given while the link was down, a moment ago
        server.start()
        until(lambda: read_link(here).up)
        until(lambda: reader.poll() is None or any(done.id == lost.id for done in reader.history.commands))
        assert reader.history.step > seen + 100
        assert answered(reader, here, "stop").ok
        until(lambda: reader.poll() is None or reader.state == "stopped")
        until(lambda: grown(here) == grown(far))  # nothing lost, nothing doubled
        assert [done.verb for done in reader.history.commands] == ["pause", "continue", "checkpoint", "stop"]
    finally:
        line.close()
        send(far.mailbox, Command("stop"))
    assert not any((tmp_path / "cache/cockpit/mirrors").iterdir())
    assert [run.path for run in list_runs(runs)] == [far.path]


def test_the_last_command_arrives_before_the_line_is_closed(server, far):
    line = Line(parse(f"ssh://far/{far.id}"), remote=os.environ["COCKPIT_REMOTE"])
    here = line.open()
    command = send(here.mailbox, Command("stop"))
    line.close()
    assert [path.name.rpartition("-")[2] for path in far.mailbox.iterdir()] == [f"{command.id}.json"]


def test_a_line_that_only_looks_sends_nothing(server, far):
    line = Line(parse("ssh://far/"), remote=os.environ["COCKPIT_REMOTE"], read_only=True)
    here = line.open()
    send(here.mailbox, Command("stop"))  # whatever a screen may do
    until(lambda: "--read-only" in read_link(here).words(time.time()))
    line.close()
    assert not any(far.mailbox.iterdir())


def test_what_a_login_prints_does_no_harm(server, far):
    line = Line(parse("ssh://far/"), remote=f"echo Welcome; {os.environ['COCKPIT_REMOTE']}")
    assert line.open().recipe.exists()
    line.close()


@pytest.mark.parametrize(
    "address, remote, says",
    [
        ("ssh://far/nothing", None, "far: no run under {runs} is called 'nothing'; `cockpit runs` lists them"),
        ("ssh://far/", "no-such-cockpit", "far has no command 'no-such-cockpit': install the cockpit there, or say where"),
        ("ssh://far/", "echo it says nothing of the kind;:", "far: the command there ended with status 0"),
        ("ssh://far/", "echo 'No such command feed' >&2; exit 2;:", "far: No such command feed"),
        ("ssh://far/", "yes;:", "far: what answers there is no cockpit"),
        ("ssh://far/", "echo cockpit-feed 9;:", "far: it speaks version 9 of the feed and this cockpit version 1"),
        ("ssh://far/", "printf 'cockpit-feed 1\\nrubbish';:", "far: its stream is damaged"),
        ("ssh://far:1/", None, "cannot reach far: ssh: connect to host 127.0.0.1 port 1: Connection refused"),
        ("ssh://no-such-host.invalid/", None, "cannot reach no-such-host.invalid: ssh: Could not resolve hostname"),
        ("ssh:far", None, "'ssh:far' is no address of a run"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(address, remote, says, server, far, runs):
    sentence = refused("attach", address, *(["--remote-command", remote] if remote else []))
    assert sentence.startswith(says.format(runs=runs))


def test_a_machine_that_is_not_the_one_it_was_is_not_trusted(server, far, tmp_path, monkeypatch):
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {(server.folder / 'user.pub').read_text()}")
    monkeypatch.setenv("COCKPIT_SSH", f"{server.ssh} -o UserKnownHostsFile={tmp_path / 'known'}")
    assert refused("attach", "ssh://far/") == "cannot reach far: Host key verification failed."


def test_whoever_has_no_key_is_told_so(server, far, tmp_path, monkeypatch):
    (tmp_path / "config").write_text((server.folder / "config").read_text().replace("/user\n", "/host\n"))
    monkeypatch.setenv("COCKPIT_SSH", f"ssh -F {tmp_path / 'config'}")
    assert "Permission denied" in refused("attach", "ssh://far/")
