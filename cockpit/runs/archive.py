"""The outside of a checkpoint, looked at before torch reads it: a plain file, a zip archive as torch writes it, whole.

Nothing is unpacked and nothing in it is executed. What is code in disguise is refused by the reader (weights_only).
"""

import stat
import zipfile
import zlib
from pathlib import Path

PROGRAM = "constants.pkl"
"""What only an archive of TorchScript holds."""


class ArchiveError(Exception):
    """A file that is no checkpoint; the text says why, to follow the file's name."""


def inspect(path: Path, *, whole: bool = True) -> None:
    """Raises ArchiveError, FileNotFoundError, or PermissionError where the file is closed to us.

    `whole`: every byte is read once, for torch does not look whether the numbers are those that were written.
    """
    plain(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive, path.stat().st_size)
            hurt = archive.testzip() if whole else None
    except (FileNotFoundError, PermissionError):
        raise
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError, RuntimeError, zlib.error) as error:
        raise ArchiveError(f"is damaged or no checkpoint at all: {' '.join(str(error).split()[:30])}") from error
    if hurt:
        raise ArchiveError(f"is damaged: {hurt} is not what was written")


def plain(path: Path) -> None:
    """Raises ArchiveError for what reading would wait for, or never come to an end of; FileNotFoundError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ArchiveError("is no plain file")


def _check_entries(archive: zipfile.ZipFile, size: int) -> None:
    """torch packs nothing and shares nothing: the parts are together no larger than the file."""
    parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise ArchiveError("is packed, which no checkpoint is, and was not unpacked")
    if sum(part.file_size for part in parts) > size:
        raise ArchiveError("is damaged: it says that its parts are larger than the file")
    if any(part.filename.rpartition("/")[2] == PROGRAM for part in parts):
        raise ArchiveError("is a TorchScript program and no weights, and was not loaded")
