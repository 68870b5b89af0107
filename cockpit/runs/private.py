"""Files and folders for their user alone, whatever the umask says."""

import os
from contextlib import suppress
from pathlib import Path


def opener(path: str, flags: int) -> int:
    """For `open`: a file that it makes is its user's alone; one that is there stays as it is."""
    made = not os.path.lexists(path)
    file = os.open(path, flags, 0o600)
    if made:
        with suppress(OSError):  # a file system without modes
            os.chmod(path, 0o600)  # noqa: PTH101  (the umask may have taken bits from its own user)
    return file


def write_text(path: Path, text: str) -> None:
    """Write a file. OSError where it cannot be written."""
    with open(path, "w", encoding="utf-8", opener=opener) as file:
        file.write(text)


def make_folder(path: Path) -> None:
    """Make a folder. FileExistsError where it is there, OSError where it cannot be made."""
    path.mkdir(mode=0o700)
    with suppress(OSError):
        path.chmod(0o700)
