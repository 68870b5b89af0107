"""A folder of a million images, and how long it takes to know what is in it."""

import os
from pathlib import Path

from scaling.cost import PYTHON, cost

CLASSES = EACH = 1000
OURS = """
import sys, time
from pathlib import Path
from cockpit.datasets.layout import survey
begun = time.perf_counter()
found = survey(Path(sys.argv[1])).splits["train"]
assert len(found) == 1_000_000
print(time.perf_counter() - begun)
"""
THEIRS = """
import sys, time
from torchvision.datasets import ImageFolder
begun = time.perf_counter()
assert len(ImageFolder(sys.argv[1])) == 1_000_000
print(time.perf_counter() - begun)
"""


def folders(scratch: Path) -> list[tuple[object, ...]]:
    """(which start, seconds, megabytes of the process); the files are empty, for only their names are read."""
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
    root = scratch / "images"
    for number in range(CLASSES):
        inner = root / f"class_{number:04d}"
        inner.mkdir(parents=True)
        for each in range(EACH):
            os.close(os.open(inner / f"image_{number:04d}_{each:06d}.png", os.O_CREAT, 0o600))
    os.utime(root / "class_0000", (1e9, 1e9))
    rows = []
    for name, code in (("first", OURS), ("second", OURS), ("third", OURS), ("torchvision's ImageFolder", THEIRS)):
        seen = cost(PYTHON, "-c", code, str(root))
        rows.append((name, f"{float(seen.said):.2f}", f"{seen.own:.0f}"))
    (root / "class_0007" / "new.png").touch()
    (root / "class_0007" / "image_0007_000000.png").unlink()
    seen = cost(PYTHON, "-c", OURS, str(root))
    return [*rows, ("after a file came and one went", f"{float(seen.said):.2f}", f"{seen.own:.0f}")]
