"""`notify:`: what a real HTTP server on this machine receives of a real run, what is refused, and that no secret gets out."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

from cockpit.host.host import Host
from cockpit.host.notify import Notifier
from cockpit.launch import new_run
from cockpit.recipe import RecipeError, dump, load, loads
from cockpit.recipe.notify import check
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.runs.log import LineWriter

apprise = pytest.importorskip("apprise", reason="the extra `notify` is not installed")

SECRET = "s3cr3t"


class Inbox(list[dict[str, Any]]):
    """The JSON bodies that arrived at a server, and the paths they were sent to."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    got = Inbox()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            got.paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        got.url = f"json://127.0.0.1:{server.server_port}/{SECRET}"
        yield got
        server.shutdown()


@pytest.fixture
def dead() -> Iterator[str]:
    """A URL on which nobody listens: the port is taken, and never answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"json://127.0.0.1:{taken.getsockname()[1]}/{SECRET}"


def ready(runs: Path, *urls: str, on: str = "") -> RunDir:
    said = {"urls": list(urls)} | ({"on": on.split()} if on else {})
    return new_run(loads(TINY + f"notify: {json.dumps(said)}"), runs, "test", allow_code=False, command=[])


def flown(run: RunDir) -> ev.Ended:
    """Fly a run by the real host, and wait until it has sent what it will."""
    end = Host(run, say=lambda _: None).run()
    for thread in threading.enumerate():
        if thread.name == "notify":
            thread.join(60)
    return end


def tell(run: RunDir, *events: ev.Event) -> None:
    writer = LineWriter(run.events)
    for event in events:
        writer.append(ev.encode(event))
    writer.close()


def flagged(severity: str = "warning", flag: str = "overfitting", step: int = 7) -> ev.Flagged:
    return ev.Flagged(id=flag, severity=severity, step=step, epoch=1, headline=f"it is {severity}")


def sent(run: RunDir, *events: ev.Event) -> None:
    """Let a notifier hear events and send what it will."""
    told = Notifier(run)
    tell(run, *events)
    told.close()
    told.wait(60)


def notes(run: RunDir) -> list[str]:
    return [note.text for note in read_history(run).notes if note.text.startswith("notify")]


def test_the_end_of_a_run_arrives(runs: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PLACE", inbox.url)
    run = ready(runs, "${MY_PLACE}", on="ended")
    assert flown(run).state == "finished"
    (message,) = inbox
    assert inbox.paths == [f"/{SECRET}"]
    assert message["title"] == f"cockpit: test ({run.id})"
    best = max(seen.val_accuracy for seen in read_history(run).evaluations)
    assert message["message"].splitlines()[-1].startswith(f"finished at step 12; best validation accuracy {best:.2%}")
    assert notes(run) == []
    assert SECRET not in "".join(path.read_text(errors="replace") for path in run.path.rglob("*") if path.is_file())


def test_a_dead_port_fails_nothing_and_is_said_once(runs: Path, dead: str, capfd: pytest.CaptureFixture[str]) -> None:
    run = ready(runs, dead, dead)
    assert flown(run).state == "finished"
    assert notes(run) == ["notify: json:// did not take a notice; the run goes on, and no more is said of this"]
    assert SECRET not in run.events.read_text()
    assert read_history(run).ended is not None
    out, err = capfd.readouterr()
    assert SECRET not in out + err and "apprise" not in out + err


def test_a_service_that_hangs_keeps_nobody_waiting(runs: Path, monkeypatch: pytest.MonkeyPatch, inbox: Inbox) -> None:
    run, held, asked = ready(runs, inbox.url), threading.Event(), threading.Event()
    monkeypatch.setattr(apprise.NotifyBase, "notify", lambda self, **_: asked.set() or held.wait())
    told = Notifier(run)
    tell(run, flagged())
    told.tick()
    assert asked.wait(60)
    told._looked = 0
    tell(run, *(flagged(flag=f"flag_{number}") for number in range(500)), ev.Ended(state="finished"))
    told.tick()
    told.close()
    told.wait(0.01)
    assert told._thread and told._thread.is_alive() and told._thread.daemon
    assert len(told._waiting) <= 20 and told._waiting[-1].kind == "ended"
    held.set()
    told.wait(60)
    assert not told._thread.is_alive()


@pytest.mark.parametrize(
    ("on", "arrives"),
    [
        ("", ["critical", "warning", "paused", "finished"]),
        ("warning", ["critical", "warning"]),
        ("critical", ["critical"]),
        ("paused ended", ["paused", "finished"]),
    ],
)
def test_only_what_was_asked_for_arrives(runs: Path, inbox: Inbox, on: str, arrives: list[str]) -> None:
    paused = ev.Noted(text="paused by flags.dead_relu.then: half of it is dead")
    said = (flagged("critical"), flagged("info"), flagged("warning"), paused, ev.Paused(), ev.Ended(state="finished"))
    sent(ready(runs, inbox.url, on=on), *said)
    (message,) = inbox
    lines = message["message"].splitlines()
    assert len(lines) == len(arrives)
    assert all(word in line for word, line in zip(arrives, lines, strict=True))
    assert message["type"] == ("failure" if "critical" in arrives else "warning")


def test_what_was_put_aside_or_is_old_is_not_told(runs: Path, inbox: Inbox) -> None:
    run = ready(runs, inbox.url)
    tell(run, flagged(flag="of_old"), ev.Snoozed(id="asleep", until=100))
    sent(run, flagged(flag="asleep", step=99), flagged(flag="asleep_no_more", step=100))
    assert [message["message"].partition(":")[0] for message in inbox] == ["asleep_no_more"]


def test_nothing_drives_the_receiver(runs: Path, inbox: Inbox) -> None:
    sent(ready(runs, inbox.url), ev.Ended(state="failed", reason="no\r\nBcc: a\x1b]0;b\x07\x9b1m\u202e\u2028z" + "w" * 9999))
    (message,) = inbox
    assert message["message"].startswith("failed at step 0: no  Bcc: a]0;b1mzwww") and len(message["message"]) == 240
    assert message["type"] == "failure"


def test_an_edit_of_a_running_run_holds_at_once(runs: Path, inbox: Inbox) -> None:
    run = new_run(loads(TINY), runs, "test", allow_code=False, command=[])
    added = ev.Edited(path="notify.urls", old="[]", new=f"[{inbox.url!r}]", live=True)
    sent(run, flagged(), added, flagged(flag="later"))
    assert [message["message"] for message in inbox] == ["later: it is warning"]


def test_a_run_that_tells_nobody_needs_no_thread(runs: Path) -> None:
    run = new_run(loads(TINY), runs, "test", allow_code=False, command=[])
    told = Notifier(run)
    tell(run, flagged(), ev.Ended(state="failed"))
    told.close()
    assert told._thread is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"discrod://{SECRET}/{SECRET}", "notify.urls[0]: apprise knows no service discrod://: did you mean 'discord'?"),
        (f"discord://{SECRET}", "notify.urls[0]: apprise cannot read this URL (discord://): a part is missing or misspelt"),
        (SECRET, "notify.urls[0]: apprise cannot read this URL (a text without a scheme): a part is missing or misspelt"),
        ("json://${NOT_SET_HERE}/x", "notify.urls[0]: the environment has no variable NOT_SET_HERE, which json:// needs"),
    ],
)
def test_what_could_never_be_sent_is_refused_without_the_secret(url: str, says: str) -> None:
    recipe = loads(TINY + f"notify: {{urls: [{json.dumps(url)}]}}")  # a run directory on another machine stays readable
    with pytest.raises(RecipeError) as caught:
        check(recipe.notify)
    assert says in str(caught.value) and SECRET not in str(caught.value)


def test_without_the_extra_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    check(loads(TINY).notify)
    with pytest.raises(RecipeError, match=r"^recipe: notify: needs .* pip install 'training-cockpit\[notify\]'$"):
        check(loads(TINY + "notify: {urls: ['json://a', 'json://b']}").notify)


@pytest.mark.parametrize(
    "wrong",
    [f"discord://{SECRET}", f"[discord://{SECRET}]", f"{{discord://{SECRET}: x}}", f"{{url: discord://{SECRET}}}",
     f"{{urls: {{a: discord://{SECRET}}}}}", f"{{urls: [{{discord://{SECRET}: x}}]}}", f"{{urls: [[discord://{SECRET}]]}}"],
)  # fmt: skip
def test_no_fault_of_the_section_shows_a_url(wrong: str) -> None:
    with pytest.raises(RecipeError) as caught:
        loads(TINY + f"notify: {wrong}")
    assert "notify" in str(caught.value) and SECRET not in str(caught.value)


def test_the_section_is_written_back_only_where_it_says_something() -> None:
    assert "notify" not in dump(loads(TINY)) and "notify" not in dump(load("first_flight"))
    recipe = loads(TINY + 'notify: {urls: "json://a", on: ended}')
    assert recipe.notify.urls == ("json://a",) and recipe.notify.on == ("ended",)
    assert loads(dump(recipe)) == recipe
