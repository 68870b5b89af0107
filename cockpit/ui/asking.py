"""Questions that only torch can answer, asked of a process of its own, so that the screen stays light and never waits."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cockpit.recipe import dump
from cockpit.ui.helm import Helm


class QuestionError(Exception):
    """The process could not answer; the text is one sentence."""


def ask(helm: Helm, command: str, *options: str, allow_code: bool = False, given_up: Callable[[], bool] = lambda: False) -> Any:
    """What `cockpit COMMAND` prints as JSON, of the helm's run or of its draft. Raises QuestionError.

    `given_up` is asked a few times a second; once it holds, the process is ended and there is no answer.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            if helm.run:
                subject = str(helm.run.path)
            else:
                draft = Path(folder) / "draft.yaml"
                assert helm.now is not None
                draft.write_text(dump(helm.now), encoding="utf-8")
                subject = str(draft)
            consent = ["--allow-code"] if allow_code and not helm.run else []
            told, said, status = _heard([command, subject, *options, *consent, "--json"], given_up)
    except OSError as error:
        raise QuestionError(f"cockpit {command} cannot be asked: {error}") from error
    try:
        return json.loads(told)
    except ValueError as error:
        lines = [line for line in said.splitlines() if line.strip()]
        raise QuestionError(lines[-1] if lines else f"cockpit {command} ended with status {status}") from error


def _heard(words: list[str], given_up: Callable[[], bool]) -> tuple[str, str, int]:
    """Standard output, standard error and status of a `cockpit` process."""
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    command = [sys.executable, "-m", "cockpit", *words]
    with subprocess.Popen(command, stdin=none, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace") as process:
        while True:
            try:
                told, said = process.communicate(timeout=0.2)
            except subprocess.TimeoutExpired:
                if given_up():
                    process.kill()
            else:
                return told, said, process.returncode
