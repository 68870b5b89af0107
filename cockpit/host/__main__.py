"""`python -m cockpit.host RUN_DIRECTORY [--resume]`: the background host. Its output is the run's host.log."""

import sys
from pathlib import Path

from cockpit.host.host import Host
from cockpit.runs.directory import RunDir, RunError


def main() -> int:
    """Own a run until it has ended; 0 unless it failed."""
    host = Host(RunDir(Path(sys.argv[1])), resume="--resume" in sys.argv[2:], say=lambda text: print(text, flush=True))
    host.catch_signals()
    try:
        return 1 if host.run().state == "failed" else 0
    except RunError as error:
        print(f"cockpit: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
