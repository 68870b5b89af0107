"""What was said when a run was started."""

import json

from cockpit.runs.directory import RunDir


def allows_code(run: RunDir) -> bool:
    """Whether the user agreed that the recipe may run code of its own."""
    try:
        return bool(json.loads(run.launch.read_text(encoding="utf-8")).get("allow_code"))
    except (OSError, ValueError, AttributeError):
        return False
