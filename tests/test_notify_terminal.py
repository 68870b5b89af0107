"""What reaches the terminal of the screen: real bytes in pseudo-terminals, under several terminals' names."""

import io
from pathlib import Path

import pytest
import ui_canned
from test_terminal import terminal
from ui_driver import WIDE, on_screen, opened, until

from cockpit.runs import events as ev
from cockpit.runs.notices import Crier, Notice
from cockpit.ui.notices import GAP, Ringer, ring_the_end, sequence

XTERM = {"TERM": "xterm-256color"}
EVIL = "a\x1b]52;c;ZXZpbA==\x07\x1b\\;b\x9c\r\n\u202ec"
SAID = "failed at step 2,940: a]52,c,ZXZpbA==\\,b  c, best validation accuracy 90.46% at epoch 4"


def failed(reason: str = EVIL) -> ev.Ended:
    return ev.Ended(t=ui_canned.NOW, step=2940, state="failed", reason=reason)


def critical(flag: str) -> ev.Flagged:
    return ev.Flagged(t=ui_canned.NOW, step=2940, id=flag, severity="critical", epoch=7, headline="half of it is dead; go back")


@pytest.mark.parametrize(
    ("env", "wants"),
    [
        (XTERM, "\a\x1b]777;notify;cockpit: a;b, c\a"),
        (XTERM | {"TERM_PROGRAM": "WezTerm"}, "\a\x1b]777;notify;cockpit: a;b, c\a"),
        ({"TERM": "xterm-kitty"}, "\a\x1b]777;notify;cockpit: a;b, c\a"),
        ({"WT_SESSION": "1"}, "\a\x1b]777;notify;cockpit: a;b, c\a"),
        (XTERM | {"VTE_VERSION": "8000"}, "\a\x1b]777;notify;cockpit: a;b, c\a"),
        (XTERM | {"TERM_PROGRAM": "iTerm.app"}, "\a\x1b]9;cockpit: a: b, c\a"),
        (XTERM | {"LC_TERMINAL": "iTerm2"}, "\a\x1b]9;cockpit: a: b, c\a"),
        ({"TERM": "tmux-256color", "TMUX": "x", "LC_TERMINAL": "iTerm2"}, "\a\x1bPtmux;\x1b\x1b]9;cockpit: a: b, c\a\x1b\\"),
        ({"TERM": "screen", "STY": "x"}, "\a\x1bP\x1b]777;notify;cockpit: a;b, c\a\x1b\\"),
        (XTERM | {"TERM_PROGRAM": "Apple_Terminal"}, "\a"),
        ({"TERM": "linux"}, "\a"),
        ({"TERM": "dumb", "TMUX": "x"}, "\a"),
        ({"TERM": "vt220"}, "\a"),
        ({}, "\a"),
    ],
)
def test_every_terminal_is_told_in_its_own_way(env: dict[str, str], wants: str) -> None:
    assert sequence("cockpit: a", "b; c", env) == wants


def test_no_name_breaks_out_of_the_sequence() -> None:
    for env in (XTERM, XTERM | {"LC_TERMINAL": "iTerm2"}, XTERM | {"TMUX": "x"}, {"TERM": "screen", "STY": "x"}):
        said = sequence(EVIL * 99, EVIL * 99, env)
        assert said.count("\x1b]") == 1 and said.count("\a") == 2 and "\x9c" not in said and "\u202e" not in said
        assert said.count(";") == (1 if "LC_TERMINAL" in env else 3) + ("TMUX" in env)
        assert len(said.encode()) < 768, "screen takes no more"


def test_notices_come_singly_and_the_gravest_speaks() -> None:
    ringer = Ringer()
    ringer.add("a", [Notice("warning", "w")])
    assert ringer.due(100.0) == ("cockpit: a", "w")
    ringer.add("a", [Notice("warning", "w2"), Notice("ended", "by key", asked=True)])
    ringer.add("b", [Notice("ended", "lost", "lost")])
    assert ringer.due(100.0 + GAP / 2) is None
    assert ringer.due(100.0 + GAP) == ("cockpit: b", "lost (and 1 more)")
    assert ringer.due(100.0 + 9 * GAP) is None
    ringer.muted = True
    ringer.add("a", [Notice("warning", "w")])
    assert ringer.due(200.0) is None
    ringer.muted = False
    assert ringer.due(200.0) is None, "what came while it was muted is not told later"


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, **env: str) -> None:
    """Wherever the tests run, the terminal is an xterm and what else is given."""
    for name in ("TMUX", "STY", "TERM_PROGRAM", "LC_TERMINAL", "WT_SESSION"):
        monkeypatch.delenv(name, raising=False)
    for name, said in ({"TERM": "xterm"} | env).items():
        monkeypatch.setenv(name, said)


def test_a_live_end_rings_through_a_real_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ui_canned.write_run(tmp_path, epochs=7, more=(critical("of_old"),))
    on_a_terminal(monkeypatch)
    with terminal("attach", str(run.path)) as screen:
        screen.until("training")
        ui_canned.tell(run, failed())
        screen.until(f"\x07\x1b]777;notify;cockpit: fashion_cnn;{SAID}\x07")
        screen.press("q")
        assert screen.status() == 0


def test_in_tmux_the_sequence_is_handed_on_and_nothing_else_gets_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ui_canned.write_run(tmp_path, epochs=7)
    on_a_terminal(monkeypatch, TMUX="/tmp/none,1,0", LC_TERMINAL="iTerm2")
    with terminal("attach", str(run.path)) as screen:
        screen.until("training")
        ui_canned.tell(run, failed())
        screen.until(f"\x07\x1bPtmux;\x1b\x1b]9;cockpit: fashion_cnn: {SAID}\x07\x1b\\")
        screen.press("q")
        assert screen.status() == 0
        assert b"\x1b]52" not in screen.seen


async def test_only_live_news_ring_and_muting_mutes(
    tmp_path: Path, canned_cards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ui_canned.write_run(tmp_path, epochs=7, more=(ev.Snoozed(step=2940, id="asleep", until=9999), critical("of_old")))
    app, said = opened(tmp_path, run=run), []
    on_a_terminal(monkeypatch)
    monkeypatch.setattr("cockpit.ui.notices.GAP", 0.0)
    monkeypatch.setattr(type(app), "is_headless", False)
    async with on_screen(app, WIDE) as pilot:
        monkeypatch.setattr(app._driver, "write", said.append)
        helm = app.screen.helm  # type: ignore[attr-defined]
        await until(pilot, lambda: bool(helm._key))
        ui_canned.tell(run, critical("asleep"), critical("dead_relu"))
        await until(pilot, lambda: any("]777" in text for text in said))
        assert [text for text in said if "]777" in text] == [
            "\a\x1b]777;notify;cockpit: fashion_cnn;dead_relu: half of it is dead, go back\a"
        ]
        said.clear()
        await pilot.press("ctrl+n")
        ui_canned.tell(run, failed())
        await until(pilot, lambda: helm.view.state == "failed" and not helm.notices)
        await pilot.pause(0.6)
        assert not any("\a" in text for text in said)


def test_a_lost_run_is_told_once(tmp_path: Path, canned_cards: None) -> None:
    from cockpit.ui.helm import Helm

    run = ui_canned.write_run(tmp_path, epochs=7)
    helm = Helm(run=run)
    helm.poll()
    dead = run.heartbeat.read_text().replace('"pid": ', '"pid": 4190')  # no such process
    run.heartbeat.write_text(dead)
    for _ in range(3):
        helm.poll()
    assert [(notice.kind, notice.state, notice.bad) for notice in helm.notices] == [("ended", "lost", True)]


def test_a_pause_by_key_and_a_stop_by_key_are_no_news() -> None:
    crier = Crier()
    by_hand = [crier.hear(event) for event in (ev.Paused(), ev.Continued(), ev.Noted(text="duplicate images"))]
    assert by_hand == [None, None, None]
    assert crier.hear(ev.Noted(text="paused by flags.x.then: y")) == Notice("paused", "paused by flags.x.then: y")
    stopped = crier.hear(ev.Ended(state="stopped", reason="on request"))
    assert stopped and stopped.asked


class Tty(io.StringIO):
    encoding = "ascii"

    def isatty(self) -> bool:
        return True


def test_train_rings_at_its_end_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    file, tty = io.StringIO(), Tty()
    ring_the_end("a", failed("é"), file)
    ring_the_end("a", ev.Ended(state="interrupted", reason="on request"), tty)
    assert file.getvalue() == tty.getvalue() == ""
    ring_the_end("a", failed("é"), tty)
    assert tty.getvalue().startswith("\a\x1b]777;notify;cockpit: a;failed at step 2,940: ?")
