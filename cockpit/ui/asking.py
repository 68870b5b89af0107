"""Questions that only torch can answer, asked of a process of its own, so that the screen stays light and never waits."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cockpit.recipe import dump
from cockpit.ui.helm import Helm


class QuestionError(Exception):
    """The process could not answer; the text is one sentence."""


def ask(helm: Helm, command: str, *options: str, allow_code: bool = False) -> Any:
    """What `cockpit COMMAND` prints as JSON, of the helm's run or of its draft. Raises QuestionError."""
    with tempfile.TemporaryDirectory() as folder:
        if helm.run:
            subject = str(helm.run.path)
        else:
            draft = Path(folder) / "draft.yaml"
            assert helm.now is not None
            draft.write_text(dump(helm.now), encoding="utf-8")
            subject = str(draft)
        consent = ["--allow-code"] if allow_code and not helm.run else []
        words = [sys.executable, "-m", "cockpit", command, subject, *options, *consent, "--json"]
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise QuestionError(said[-1] if said else f"cockpit {command} ended with status {done.returncode}") from error
