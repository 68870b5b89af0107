"""Hostile words on real terminals: what the screen and the bar send is looked at byte by byte."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ui_canned
from conftest import TINY
from security_gallery import EVIL, hostile_run, leaks, words
from test_notify_terminal import on_a_terminal
from test_terminal import Terminal, pty, wait_for


class Sized(Terminal):
    """The application on a terminal of a size, with all that it ever sent."""

    def __init__(self, columns: int, lines: int, *arguments: str) -> None:
        self.seen = self.sent = b""
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            size = {"TERM": "xterm-256color", "LINES": str(lines), "COLUMNS": str(columns), "PYTHONUTF8": "1"}
            os.execve(sys.executable, [sys.executable, "-m", "cockpit", *arguments], os.environ | size)

    def _read(self) -> None:
        before = len(self.seen)
        super()._read()
        self.sent += self.seen[before:]

    def settle(self) -> None:
        """Until nothing more is drawn."""
        while True:
            before = len(self.sent)
            for _ in range(2):
                self._read()
            if len(self.sent) == before:
                return


@contextmanager
def gone_at_the_end(screen: Sized) -> Iterator[Sized]:
    try:
        yield screen
    finally:
        if screen.pid:
            os.kill(screen.pid, 9)
            os.waitpid(screen.pid, 0)
        os.close(screen.file)


KEYS = (
    "f",
    "\r",
    "\x1b",
    "1",
    "\x1b",
    "l",
    "a",
    "m",
    "t",
    "\r",
    "\x1b",
    "e",
    "\x1b",
    "p",
    "p",
    "x",
    "?",
    "\x1b",
    "v",
    "\x1b",
    "k",
    "\x1b",
)
"""Every page, the cards of a finding and of a trick, a question, the keys, a closer look; escape comes back from each."""


@pytest.mark.parametrize(("size", "state"), [((80, 24), "failed"), ((160, 48), "failed"), ((80, 24), "running")])
def test_the_screen_sends_nothing_of_a_hostile_run(
    tmp_path: Path, size: tuple[int, int], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    run = hostile_run(tmp_path, state=state)
    with gone_at_the_end(Sized(*size, "attach", str(run.path))) as screen:
        screen.until("training" if state == "running" else "failed")
        for key in KEYS:
            screen.press(key)
            screen.settle()
        if state == "running":
            ui_canned.tell(run, *words(EVIL, "running"))
            wait_for(lambda: screen._read() or b"]777;notify;cockpit" in screen.sent, "a notification")
            screen.settle()
            for key in ("\x1b", "\x1b", "q"):
                screen.press(key)
                screen.settle()
            screen.press("\r")
            screen.until("goes on; `cockpit attach 7f3a` shows it")
    assert len(screen.sent) > 10_000 and not leaks(screen.sent)


def test_the_launch_screen_lists_hostile_runs(runs: Path) -> None:
    hostile_run(runs)
    with gone_at_the_end(Sized(80, 24)) as screen:
        screen.until("Presets")
        screen.settle()
        screen.press("\x1b[F")
        screen.until("failed")
        screen.press("q")
        assert screen.status() == 0
    assert not leaks(screen.sent)


NET = """
import torch
from torch import nn


class Late(nn.Linear):
    calls = 0

    def forward(self, x):
        self.calls += self.training and torch.is_grad_enabled()
        if self.calls > 9:
            raise RuntimeError({})
        return super().forward(x.flatten(1))


def build(in_channels, num_classes, image_size):
    return Late(64, num_classes)
"""


def test_training_on_a_terminal_draws_its_bar_and_sends_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.format(ascii(EVIL)), encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(TINY.replace("a test", json.dumps(EVIL[:60])))
    model = f"model={{name: file, path: {tmp_path / 'net.py'}}}"
    with gone_at_the_end(Sized(80, 24, "train", str(tmp_path / "tiny.yaml"), "--allow-code", "--set", model)) as screen:
        assert screen.status() == 1
    assert b"PWNED" in screen.sent and "━".encode() in screen.sent and not leaks(screen.sent)
